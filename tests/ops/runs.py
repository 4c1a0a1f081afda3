"""runs: a row run by us, by our reference and by PyTorch: outputs and gradients, as arrays."""

import numpy as np

import minigrad as mg
from minigrad.autograd import as_tuple, grad
from minigrad.backend.array import empty
from minigrad.kernel import Kernel
from minigrad.tensor import wrap
from tests.ops.inputs import is_float


def run(case, arrays):
    """Outputs, and gradients of the floating inputs for fixed gradients of the outputs, as arrays."""
    leaves = [wrap(a).requires_grad_(case.differentiable and is_float(a)) for a in arrays]
    ys = as_tuple(case.function(*leaves))
    outputs, rng = [y for y in ys if y.requires_grad], np.random.default_rng(1)
    seeds = [mg.tensor(rng.uniform(0.5, 1.5, y.shape), dtype=y.dtype, device=y.device) for y in outputs]
    grads = grad(outputs, [x for x in leaves if x.requires_grad], seeds) if case.differentiable else ()
    return [y.detach().array for y in ys], [g.array for g in grads]


def reference(case, arrays):
    with mg.tier("reference"):
        return run(case, arrays)


def run_torch(case, torch, arrays):
    """The same by PyTorch."""
    leaves = [torch.tensor(a, requires_grad=case.differentiable and is_float(a)) for a in arrays]
    ys, rng = as_tuple(case.torch(torch, *leaves)), np.random.default_rng(1)
    tracked = [y for y in ys if y.requires_grad]
    seeds = [torch.tensor(rng.uniform(0.5, 1.5, tuple(y.shape))) for y in tracked]
    grads = torch.autograd.grad(tracked, [x for x in leaves if x.requires_grad], seeds) if tracked else ()
    return [y.detach().numpy() for y in ys], [g.numpy() for g in grads]


def kernels_run(case, arrays):
    """The names of the kernels that a run uses."""
    ran, call = set(), Kernel.__call__

    def spy(kernel, *args):
        ran.add(kernel.name)
        call(kernel, *args)

    try:
        Kernel.__call__ = spy
        run(case, arrays)
    finally:
        Kernel.__call__ = call
    return ran


def poison(run):
    """Fill the memory that results like these will get next: a kernel that forgets to write must not find old ones."""
    for a in (a for part in run for a in part):
        for junk in [empty(a.shape, a.dtype) for _ in range(8)]:
            junk.fill(np.nan if is_float(a) else 77)
