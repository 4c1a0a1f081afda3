// c (m, n) = a (m, k) b (k, n), the definition: every element of c is a dot product.
// The inner loop jumps a whole row of b at each step and adds to one number, so nothing runs side by side.

extern "C" void multiply(float* c, const float* a, const float* b, long m, long n, long k) {
  for (long i = 0; i < m; ++i)
    for (long j = 0; j < n; ++j) {
      float sum = 0;
      for (long p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
}
