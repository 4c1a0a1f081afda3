"""printing: how a Tensor looks, in PyTorch's layout."""

import numpy as np

from minigrad.dtypes import bool_, get_default_dtype, int64, is_floating

_options = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80}


def set_printoptions(**options):
    """Change how tensors print: precision, threshold, edgeitems, linewidth.

    >>> import minigrad as mg
    >>> mg.set_printoptions(precision=2)
    ... mg.tensor([0.125])
    tensor([0.12])
    >>> mg.set_printoptions(precision=4)
    """
    unknown = set(options) - set(_options)
    if unknown:
        raise ValueError(f"[set_printoptions] unknown options {sorted(unknown)}, expected some of {sorted(_options)}")
    _options.update(options)


def tensor_repr(tensor):
    """`tensor([1., 2.], dtype=..., grad_fn=<Mul>)`."""
    notes = [""]
    if tensor.dtype not in (get_default_dtype(), int64, bool_) or tensor.numel() == 0:
        notes.append(f"dtype={tensor.dtype}")
    if tensor.numel() == 0 and tensor.shape != (0,):
        notes.append(f"size={tensor.shape}")
    if tensor.requires_grad:
        notes.append("requires_grad=True" if tensor.is_leaf else f"grad_fn=<{tensor.grad_fn.name()}>")
    return f"tensor({_digits(tensor.array)}{', '.join(notes)})"


def _digits(array):
    if array.size == 0:
        return "[]"
    floating = is_floating(array.dtype)
    shown = array.astype(np.float64) if floating else array
    options = {k: _options[k] for k in ("threshold", "edgeitems")}
    return np.array2string(
        shown,
        separator=", ",
        prefix="tensor(",
        max_line_width=_options["linewidth"] + 20,
        formatter={"float_kind": _float_format(shown)} if floating else None,
        **options,
    )


def _float_format(array):
    """One format for all elements: whole numbers as `1.`, a wide range as `1.0000e+05`, all else with `precision` digits."""
    finite = array[np.isfinite(array)]
    sizes = np.abs(finite[finite != 0])
    whole = bool((finite == np.trunc(finite)).all())
    wide = sizes.size and (sizes.max() > 1e8 or sizes.max() > 1e3 * sizes.min() or (sizes.min() < 1e-4 and not whole))
    places = _options["precision"]
    pattern = f"{{:.{places}e}}" if wide else "{:.0f}." if whole else f"{{:.{places}f}}"
    texts = [pattern.format(v) if np.isfinite(v) else str(v) for v in array.ravel()[:: max(1, array.size // 1000)]]
    width = max(len(t) for t in texts)
    return lambda v: (pattern.format(v) if np.isfinite(v) else str(v)).rjust(width)
