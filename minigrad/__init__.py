"""minigrad: a deep-learning framework to learn from and to use.

Reading order: `tensor.py` (an array and its history), `autograd.py` (recording, walking back), `kernel.py` (the one dispatch), then
any op, for example `ops/softmax.py` beside `csrc/cpu/softmax.cpp`. `nn`, `optim` and `utils.data` are built from these.
"""

from minigrad import autograd, tracking  # noqa: F401 - tracking completes Tensor
from minigrad.backend import cpu as _cpu
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
from minigrad.ops import *  # noqa: F403
from minigrad.printing import set_printoptions
from minigrad.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from minigrad.tensor import Tensor

__version__ = "0.1.0"
float = float32
int = int32
