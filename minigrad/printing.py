"""printing: how a Tensor looks, in PyTorch's layout: one width and style for all elements, long ones cut in the middle.

Order: what is shown (`_shown`), how an element looks (`_style`), how rows are laid out (`_rows`), what is said behind.
"""

import numpy as np

from minigrad.backend import devices
from minigrad.dtypes import bool_, get_default_dtype, int64, is_floating

_options: dict = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_OPEN = "tensor("


def set_printoptions(**options):
    """Change how tensors print.

    Args:
        precision (int): digits behind the point. threshold (int): longer tensors are cut.
        edgeitems (int): what then stays at each end. linewidth (int): characters in a line.
        sci_mode (bool, optional): write floats as 1.0000e+05; found from the values if None.

    Errors: ValueError for another option.

    >>> import minigrad as mg
    >>> mg.set_printoptions(precision=2)
    >>> mg.tensor([0.125])
    tensor([0.12])
    >>> mg.set_printoptions(precision=4)
    """
    unknown = set(options) - set(_options)
    if unknown:
        raise ValueError(f"[set_printoptions] unknown options {sorted(unknown)}, expected some of {sorted(_options)}")
    _options.update(options)


def tensor_repr(tensor):
    """`tensor([1., 2.], dtype=float64, grad_fn=<Mul>)`."""
    array = devices.move(tensor.array, devices.CPU)
    array = array.astype(np.float64) if is_floating(tensor.dtype) else array
    cut = array.size > _options["threshold"]
    text = _rows(array, _style(_shown(array) if cut else array), cut, len(_OPEN)) if array.size else "[]"
    return _with_notes(_OPEN + text, _notes(tensor)) + ")"


def _shown(array):
    """What is left of a long array: the ends of every dimension."""
    edge = _options["edgeitems"]
    for d, n in enumerate(array.shape):
        if n > 2 * edge:
            array = array.take([*range(edge), *range(n - edge, n)], d)
    return array


def _style(array):
    """The function that writes one element of `array`, and the width they all need."""
    if array.dtype.kind != "f":
        write, counted = str, array.ravel().tolist()
    else:
        finite = array[np.isfinite(array)]
        sizes = np.abs(finite[finite != 0])  # zeros and infinities fit in anywhere
        write, counted = _float_style(finite, sizes), finite[finite != 0].tolist()
    width = max((len(write(v)) for v in counted), default=1)
    return lambda value: write(value).rjust(width), width


def _float_style(finite, sizes):
    """Whole numbers as `1.`, a wide range as `1.0000e+05`, all else with `precision` digits."""
    whole = bool((finite == np.trunc(finite)).all())
    low, high = (sizes.min(), sizes.max()) if sizes.size else (1, 1)
    wide = high > 1000 * low or high > 1e8 or (low < 1e-4 and not whole)
    wide = wide if _options["sci_mode"] is None else _options["sci_mode"]
    pattern = f".{_options['precision']}{'e' if wide else 'f'}" if wide or not whole else ".0f"
    point = "." if pattern == ".0f" else ""
    return lambda v: format(v, pattern) + (point if np.isfinite(v) else "")


def _rows(array, style, cut, indent):
    """The nested brackets of an array that starts `indent` characters into its line."""
    write, width = style
    if array.ndim == 0:
        return write(array.item())
    edge = _options["edgeitems"]
    skip = cut and len(array) > 2 * edge
    parts = [*array[:edge], *array[-edge:]] if skip else list(array)
    if array.ndim > 1:
        texts = [_rows(part, style, cut, indent + 1) for part in parts]
        texts[edge:edge] = ["..."] if skip else []
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(texts) + "]"
    texts = [write(part.item()) for part in parts]
    texts[edge:edge] = [" ..."] if skip else []
    per_line = max(1, (_options["linewidth"] - indent) // (width + 2))
    lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _notes(tensor):
    """What is said behind the numbers: size and dtype where the numbers do not show them, and the graph."""
    if tensor.numel() == 0 and tensor.ndim != 1:
        yield f"size={tensor.shape}"
    if tensor.dtype != get_default_dtype() and (tensor.numel() == 0 or tensor.dtype not in (int64, bool_)):
        yield f"dtype={tensor.dtype}"
    if tensor.device != "cpu":
        yield f"device='{tensor.device}'"
    if tensor.requires_grad:
        yield "requires_grad=True" if tensor.is_leaf else f"grad_fn={tensor.grad_fn!r}"


def _with_notes(text, notes):
    """Notes go on the last line, or where it is full on one of their own."""
    used = len(text) - text.rfind("\n") + 1
    for note in notes:
        full = used + len(note) + 2 > _options["linewidth"]
        text += (",\n" + " " * len(_OPEN) if full else ", ") + note
        used = len(_OPEN) + len(note) if full else used + len(note) + 2
    return text
