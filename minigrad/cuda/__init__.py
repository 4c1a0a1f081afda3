"""cuda: hand-written CUDA kernels, and a simulator that runs them on any CPU.

Reading order: `source.py` (what a kernel file says), `build.py` (how it is compiled), `simulator.py` (how it is run and
what is reported), `kernel_file.py` (users' own kernels). The simulator's C++ lies in csrc/cuda_sim. Then `trace.py`
(every access of a kernel), `card.py` and `step.py` (what is made of it), `debugger.py` (a launch once more, under gdb),
`cubin.py` (compiling for GPUs), `budget.py`, `pages.py` (all cards: docs/kernels.md), `rungs.py` (which body multiplies
matrices), `gpu.py` (launches, streams and events on a real GPU). docs/simulator.md is the user's page.
"""

from minigrad.cuda.availability import device_count, is_available, missing
from minigrad.cuda.build import CompileError
from minigrad.cuda.card import Card, card
from minigrad.cuda.gpu import (
    Event,
    Stream,
    current_device,
    current_stream,
    memory_stats,
    stream,
    synchronize,
)
from minigrad.cuda.kernel_file import CudaKernel, CudaModule, compile
from minigrad.cuda.rungs import matmul_rungs, use_matmul
from minigrad.cuda.simulator import KernelError, simulate
from minigrad.cuda.step import step
