"""utils: `clip_grad.py` keeps gradients from growing too large, `vector.py` makes one vector of all parameters."""

from minigrad.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from minigrad.nn.utils.vector import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]
