"""gemm_cuda: the matrix product in CUDA, rung by rung; `run.py` prints what each takes and, on a GPU, times it."""
