"""launches: how each kernel is started: which entry points of its `.cu` file, on how many blocks of how many threads,
with what arguments. One file for each file of csrc/cuda, of the same stem.

A launch function has the kernel's name and arguments, and gives one `Launch` after the other:

    @launches
    def softmax_forward(y, x):
        yield Launch("softmax_forward_block", grid, block, (y, x, ...))

Arguments are matched with the parameters of the entry point, whose types are read from its source.

Where the file has forms for halves (source.py), the same function starts these, `softmax_forward_block_bfloat16`, by
the kernel's name with the same suffix. All floating arrays are of that dtype then, but for those that it says stay
`wide`:

    @launches
    @wide("mean", "rstd")
    def layer_norm_forward(y, mean, rstd, x, weight, bias, eps):
"""

import importlib
import inspect
import math
import pkgutil
from functools import cache, wraps
from typing import Any, NamedTuple

from minigrad.backend.array import Arrays, is_array
from minigrad.cuda import build, source
from minigrad.dtypes import as_dtype, is_floating

LAUNCHES: dict = {}  # kernel -> (stem of its file, launch function)


class Launch(NamedTuple):
    """One start of one entry point; a grid with a 0 in it is nothing to do."""

    entry: str
    grid: Any
    block: Any
    args: tuple
    shared: int = 0

    @property
    def blocks(self):
        """How many there are."""
        return self.grid if isinstance(self.grid, int) else math.prod(self.grid)


def launches(function):
    """Register a launch function under its own name, for the file of its module's name."""
    LAUNCHES[function.__name__] = function.__module__.rpartition(".")[2], function
    return function


def wide(*names):
    """Say which of a launch function's arrays keep their dtype where others are halves."""

    def mark(function):
        function.wide = names
        return function

    return mark


def single(function):
    """Say of a launch function that it has no forms for halves."""
    function.single = True
    return function


def blocks_for(n, threads, per_thread=1):
    """How many blocks of `threads` cover `n` elements."""
    return -(-n // (threads * per_thread))


@cache
def every():
    """`LAUNCHES`, complete, and the forms for halves by `<kernel>_<dtype>`."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    stems = {stem for stem, _ in LAUNCHES.values()}
    both = {stem for stem in stems if source.has_halves(build.kernel_text(stem))}
    found = {}
    for name, (stem, function) in LAUNCHES.items():
        for dtype in source.HALVES if stem in both and not hasattr(function, "single") else ():
            found[f"{name}_{dtype}"] = stem, in_halves(function, dtype)
    return found | LAUNCHES


def in_halves(function, dtype):
    """A launch function for a half: the same launches, of `<entry>_<dtype>`; NotImplemented for mixed arrays."""
    half, stays = as_dtype(dtype), wide_places(function)

    @wraps(function)
    def launch(*args):
        found = [a.dtype for i, a in enumerate(args) if i not in stays and (is_array(a) or isinstance(a, Arrays))]
        if any(d != half for d in found if is_floating(d)):
            return NotImplemented
        return (each._replace(entry=f"{each.entry}_{dtype}") for each in function(*args))

    return launch


def wide_places(function):
    """Where among its arguments a launch function has those that stay `wide`."""
    names = getattr(function, "wide", ())
    return [i for i, name in enumerate(inspect.signature(function).parameters) if name in names]


@cache
def bodies():
    """Every kernel with a launch function: name -> what runs it, or gives NotImplemented where halves are mixed."""
    return {name: _body(*row) for name, row in every().items()}


def _body(stem, function):
    from minigrad.cuda import simulator

    @wraps(function)
    def body(*args):
        plan = function(*args)
        if plan is NotImplemented:
            return plan
        for launch in plan:
            if launch.blocks > 0:
                library = simulator.load_file(stem, simulator.settings.mode, source.dtype_of(launch.entry))
                most = simulator.SHARED_LIMIT if launch.shared <= simulator.SHARED_LIMIT else simulator.MOST_SHARED
                library.launch(*launch[:4], launch.shared, most)
        return None

    return body
