"""benchmarks: `python -m benchmarks` measures minigrad beside PyTorch and numpy, in one process, interleaved.

Reading order: `measure.py` (how a figure is taken), `overhead.py` (the Python cost of an op), `steps.py` (whole
training steps), `epoch.py` (an epoch of MNIST, loading included), `__main__.py`. These machines are noisy: trust
ratios taken in the same run.
"""
