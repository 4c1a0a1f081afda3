"""gemm: the matrix product, from the definition to the one in use; `run.py` compiles, checks and times the steps."""
