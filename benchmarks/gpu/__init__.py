"""gpu: `python -m benchmarks --device cuda`: the same figures on a GPU, beside PyTorch and CuPy in one process.

Reading order: `place.py` (a device and how a figure is taken there), `ceilings.py` (what it can do at best),
`kernels.py`, `steps.py`, `attention.py`, `ladder.py`, `command.py`. `benchmarks/gpu_session.py` runs all of it, and the
tests, within a given time. On "cuda-sim", and on the tests' stand-in for CuPy, it runs end to end with `--smoke`; what
it prints there says nothing about any GPU.
"""
