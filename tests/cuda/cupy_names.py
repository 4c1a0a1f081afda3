"""cupy_names: which of numpy's functions and methods CuPy has, and with which parameters: cupy_names.txt.

    PYTHONPATH=. python tests/cuda/cupy_names.py > tests/cuda/cupy_names.txt

writes the table anew where CuPy is installed (no GPU is needed). A line is `sum(a, axis, dtype, out, keepdims)`,
`exp: ufunc`, `ndarray.max(axis, out, keepdims)`, or a name alone: an attribute, a constant or a type. `fake_cupy.py`
refuses what is not there.
"""

import inspect
import re
import sys
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_suffix(".txt")


@cache
def table():
    """Name -> the names of its parameters ("*" before those of any number), "ufunc", or None where it has none."""
    found = {}
    for line in TABLE.read_text().splitlines():
        name, parameters = re.fullmatch(r"([\w.]+)(\(.*\)|: ufunc)?", line).groups()
        found[name] = "ufunc" if parameters == ": ufunc" else parameters and parameters[1:-1].split(", ")
    return found


def check(name, args, options):
    """Raise as CuPy does for a function or method that it has not, or not with these arguments."""
    if name not in table():
        raise AttributeError(f"CuPy has no {name}")
    parameters = table()[name]
    if parameters == "ufunc":
        parameters = ["x1", "x2", "out", "dtype", "casting"]
    many = any(p.startswith("*") for p in parameters)
    unknown = set(options) - set(parameters)
    if unknown or (len(args) > len(parameters) and not many):
        raise TypeError(f"CuPy's {name} takes ({', '.join(parameters)}), found {len(args)} and {sorted(options)}")


# Making the table ----------------------------------------------------------------------------------------------------


def parameters_of(function):
    """Its parameters, from its signature or from the first line of its documentation."""
    try:
        rows = inspect.signature(function).parameters.values()
        names = ["*" * (p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)) + p.name for p in rows]
    except (TypeError, ValueError):
        inside = (function.__doc__ or "()").split("\n")[0].partition("(")[2].partition(")")[0]
        names = [part.split("=")[0].split()[-1] for part in inside.split(",") if part.strip()]
    return ", ".join(n for n in names if n not in ("self", "*", "/"))


def lines(numpy, cupy):
    for name in sorted(n for n in dir(cupy) if not n.startswith("_") and hasattr(numpy, n)):
        value = getattr(cupy, name)
        if isinstance(value, cupy.ufunc):
            yield f"{name}: ufunc"
        elif not inspect.ismodule(value):
            yield f"{name}({parameters_of(value)})" if callable(value) and not isinstance(value, type) else name
    for name in sorted(n for n in dir(cupy.ndarray) if not n.startswith("_")):
        value = getattr(cupy.ndarray, name)
        yield f"ndarray.{name}({parameters_of(value)})" if callable(value) else f"ndarray.{name}"


def main():
    import cupy
    import numpy

    print("\n".join(lines(numpy, cupy)))


if __name__ == "__main__":
    sys.exit(main())
