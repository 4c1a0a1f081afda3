"""minigrad: a deep-learning framework to learn from and to use.

Reading order: `tensor.py` (an array and its history), `autograd.py` (recording, walking back), `kernel.py` (the one
dispatch), then any op, for example `ops/softmax.py` beside `csrc/cpu/softmax.cpp`. `nn`, `optim` and `utils.data` are
built from these.
"""

import warnings as _warnings

from minigrad import autograd, function, tracking
from minigrad.backend import cpu as _cpu
from minigrad.backend.threads import get_num_threads, memory_stats, set_num_threads
from minigrad.dtypes import (
    bfloat16,
    double,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
)
from minigrad.dtypes import bool_ as bool
from minigrad.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.kernel import backend_name, tier, use_backend
from minigrad.ops import *
from minigrad.printing import set_printoptions
from minigrad.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from minigrad.tensor import Tensor

# isort: split
from minigrad import cuda, nn, optim, testing, utils
from minigrad.replay.capture import capture
from minigrad.serialization import load, save

__version__ = "0.1.0"
float = float32
int = int32

if _cpu.reason() and not _cpu.switched_off:
    _warnings.warn(f"{_cpu.reason()}: see `python -m minigrad.doctor`", RuntimeWarning, stacklevel=2)
