"""testing: the checkers that minigrad's own tests use, for your ops and kernels too.

    gradcheck        backward against central differences, in float64, along a random direction (or the full Jacobian)
    gradgradcheck    the same for the gradient of the gradient
    check_backwards  the everyday backward (fused kernels) against the differentiable one (create_graph=True)
    check_kernel     the native body of a kernel against its reference

All raise AssertionError that says what differs where; none returns a verdict that can be overlooked.

Source of the directional check: one central difference along a random unit direction u tests <v, J u> = <J^T v, u> for
a random v with two runs of the function whatever its size.
"""

import numpy as np

from minigrad.autograd import as_tuple, grad
from minigrad.backend.array import is_array
from minigrad.dtypes import float64, is_floating
from minigrad.grad_mode import enable_grad, no_grad
from minigrad.kernel import KERNELS
from minigrad.tensor import Tensor, wrap


def _leaves(inputs):
    """Fresh float64 leaves for the floating inputs, the others as they are."""
    return [
        wrap(x.array.astype(float64)).requires_grad_()
        if isinstance(x, Tensor) and is_floating(x.dtype) and x.requires_grad
        else x
        for x in as_tuple(inputs)
    ]


def _checked(checker, leaves):
    """Which of the inputs are to be checked."""
    checked = [k for k, x in enumerate(leaves) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError(f"[{checker}] no input requires a gradient: there is nothing to check")
    return checked


def _outputs(function, inputs):
    return [y for y in as_tuple(function(*inputs)) if isinstance(y, Tensor) and is_floating(y.dtype)]


def _directional(function, inputs, k, direction, eps):
    """Central difference of the outputs as input k moves along a direction."""
    ends = []
    with no_grad():
        for sign in (eps, -eps):
            moved = list(inputs)
            moved[k] = wrap(np.asarray(inputs[k].array + sign * direction))
            ends.append([y.array.astype(float64) for y in _outputs(function, moved)])
    return [(up - down) / (2 * eps) for up, down in zip(*ends, strict=True)]


def _directions(x, rng, full):
    if full:
        for i in range(x.array.size):
            unit = np.zeros(x.array.size)
            unit[i] = 1.0
            yield unit.reshape(x.shape)
    else:
        yield rng.standard_normal(x.shape)


def gradcheck(function, inputs, eps=1e-6, atol=1e-6, rtol=1e-4, full=False, seed=0):
    """Compare the gradients of `function` with central differences.

    Args:
        function: takes the inputs, returns a Tensor or a tuple of them; run in float64, several times, so it must be
            deterministic.
        inputs (Tensor or sequence): those that require a gradient are checked.
        eps (float): the step. atol, rtol: tolerances of the comparison.
        full (bool): every entry of the Jacobian instead of one random direction.

    Errors: AssertionError naming the input and both values; ValueError if there is nothing to check.

    >>> import minigrad as mg
    >>> from minigrad.testing import gradcheck
    >>> gradcheck(mg.tanh, mg.tensor([0.1, 0.2], requires_grad=True))
    True
    """
    rng, leaves = np.random.default_rng(seed), _leaves(inputs)
    checked = _checked("gradcheck", leaves)
    outputs = [y for y in _outputs(function, leaves) if y.requires_grad]
    if not outputs:
        raise AssertionError("[gradcheck] no output requires a gradient, although an input does")
    weights = [rng.standard_normal(y.shape) for y in outputs]
    tracked = [y.requires_grad for y in _outputs(function, leaves)]
    found = grad(outputs, [leaves[k] for k in checked], [wrap(np.asarray(w)) for w in weights], allow_unused=True)
    for k, g in zip(checked, found, strict=True):
        analytic = np.zeros(leaves[k].shape) if g is None else g.array
        for direction in _directions(leaves[k], rng, full):
            moves = [m for m, t in zip(_directional(function, leaves, k, direction, eps), tracked, strict=True) if t]
            numeric = sum(float((w * m).sum()) for w, m in zip(weights, moves, strict=True))
            value = float((analytic * direction).sum())
            if not abs(value - numeric) <= atol + rtol * abs(numeric):
                raise AssertionError(
                    f"[gradcheck] input {k} of shape {leaves[k].shape}: backward gives {value:.10g} along a direction, "
                    f"central differences give {numeric:.10g}"
                )
    return True


def gradgradcheck(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3, full=False, seed=0):
    """`gradcheck` of the gradient of `function`: that it can be differentiated again, and rightly. Same arguments."""
    leaves = _leaves(inputs)
    checked = _checked("gradgradcheck", leaves)
    outputs = [y for y in _outputs(function, leaves) if y.requires_grad]
    rng = np.random.default_rng(seed + 1)
    seeds = [wrap(np.asarray(rng.standard_normal(y.shape))).requires_grad_() for y in outputs]

    def gradient(*args):
        xs, dys = args[: len(leaves)], args[len(leaves) :]
        # a leaf of its own for each run, so that moved inputs without a gradient (central differences) work too
        xs = [wrap(x.array).requires_grad_() if k in checked and not x.requires_grad else x for k, x in enumerate(xs)]
        with enable_grad():
            ys = [y for y in _outputs(function, xs) if y.requires_grad]
            return grad(ys, [xs[k] for k in checked], dys, create_graph=True, allow_unused=True)

    return gradcheck(gradient, [*leaves, *seeds], eps, atol, rtol, full, seed)


def check_backwards(function, inputs, rtol=1e-9, atol=1e-11, seed=0):
    """That the everyday backward and the differentiable one give the same first gradient, in float64."""
    rng, results = np.random.default_rng(seed), []
    weights = None
    for create_graph in (False, True):
        leaves = _leaves(inputs)
        wanted = [leaves[k] for k in _checked("check_backwards", leaves)]
        outputs = [y for y in _outputs(function, leaves) if y.requires_grad]
        weights = weights or [np.asarray(rng.standard_normal(y.shape)) for y in outputs]
        results.append(grad(outputs, wanted, list(map(wrap, weights)), create_graph=create_graph, allow_unused=True))
    for k, (fused, composed) in enumerate(zip(*results, strict=True)):
        if (fused is None) != (composed is None):
            raise AssertionError(f"[check_backwards] gradient {k} is None in one of the two backwards only")
        if fused is not None:
            np.testing.assert_allclose(
                fused.array, composed.array, rtol, atol, err_msg=f"[check_backwards] gradient {k}"
            )
    return True


def check_kernel(kernel, *args, rtol=1e-5, atol=1e-6):
    """Run a kernel's native body and its reference on copies of `args` and compare all they write.

    Args:
        kernel: a kernel or its name. args: as the kernel takes them, out-parameters first (their values are inputs
            too).

    Errors: AssertionError where they differ; RuntimeError if there is no native body.

    >>> import numpy as np
    >>> from minigrad.kernel import KERNELS
    >>> k = KERNELS["exp_forward"]
    >>> x = np.linspace(-1, 1, 7, dtype=np.float32)
    >>> k.native() is k.reference or check_kernel(k, np.empty_like(x), x)
    True
    """
    kernel = KERNELS[kernel] if isinstance(kernel, str) else kernel
    native = kernel.native()
    if native is kernel.reference:
        raise RuntimeError(f"[check_kernel] {kernel.name} has no native body here")
    runs = []
    for body in (kernel.reference, native):
        copies = [_same_layout(a) if is_array(a) and i < kernel.outs else a for i, a in enumerate(args)]
        body(*copies)
        runs.append(copies[: kernel.outs])
    for i, (expected, got) in enumerate(zip(*runs, strict=True)):
        if is_array(expected):
            np.testing.assert_allclose(got, expected, rtol, atol, err_msg=f"[{kernel.name}] out {i}")
    return True


def _same_layout(a):
    """A copy with the same strides (for contiguous and transposed arrays)."""
    return a.copy(order="K")
