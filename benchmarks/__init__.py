"""benchmarks: `python -m benchmarks` measures minigrad beside PyTorch and numpy, in one process, interleaved.

Reading order: `measure.py` (how a figure is taken), `ceilings.py` (what the machine can do at best), `models.py` and
`workloads.py` (what is timed), `steps.py` (training and inference), `ops/` (one file for each op), `overhead.py` (the
Python cost of an op), `epoch.py` (MNIST, loading included), `busy.py` (beside a foreign process), `memory.py` (peaks),
`table.py`, `compare.py`, `report.py`, `plot.py`, `profile.py`, `__main__.py`. These machines
are noisy: trust ratios taken in the same run.
"""
