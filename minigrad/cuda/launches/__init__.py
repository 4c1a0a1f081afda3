"""launches: how each kernel is started: which entry points of its `.cu` file, on how many blocks of how many threads,
with what arguments. One file for each file of csrc/cuda, of the same stem.

A launch function has the kernel's name and arguments, and gives one `Launch` after the other:

    @launches
    def softmax_forward(y, x):
        yield Launch("softmax_forward_block", grid, block, (y, x, ...))

Arguments are matched with the parameters of the entry point, whose types are read from its source.
"""

import importlib
import pkgutil
from functools import cache, wraps
from typing import Any, NamedTuple

LAUNCHES: dict = {}  # kernel -> (stem of its file, launch function)


class Launch(NamedTuple):
    """One start of one entry point; a grid with a 0 in it is nothing to do."""

    entry: str
    grid: Any
    block: Any
    args: tuple
    shared: int = 0


def launches(function):
    """Register a launch function under its own name, for the file of its module's name."""
    LAUNCHES[function.__name__] = function.__module__.rpartition(".")[2], function
    return function


def blocks_for(n, threads, per_thread=1):
    """How many blocks of `threads` cover `n` elements."""
    return -(-n // (threads * per_thread))


@cache
def bodies():
    """Every kernel with a launch function: name -> what runs it."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {name: _body(*row) for name, row in LAUNCHES.items()}


def _body(stem, function):
    from minigrad.cuda import simulator

    @wraps(function)
    def body(*args):
        for launch in function(*args):
            if min((launch.grid,) if isinstance(launch.grid, int) else launch.grid) > 0:
                library = simulator.load_file(stem, simulator.settings.mode)
                library.launch(*launch[:4], launch.shared)

    return body
