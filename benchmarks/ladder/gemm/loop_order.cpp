// The two inner loops change places: a row of b, times one number, is added to a row of c.
// All that the inner loop touches lies side by side, so the compiler does it a vector at a time.

extern "C" void multiply(float* __restrict c, const float* a, const float* b, long m, long n, long k) {
  for (long i = 0; i < m; ++i) {
    for (long j = 0; j < n; ++j) c[i * n + j] = 0;
    for (long p = 0; p < k; ++p)
      for (long j = 0; j < n; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
  }
}
