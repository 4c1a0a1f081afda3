"""step: one thread of a kernel, followed line by line through what it reads and writes.

With gdb a kernel can be stopped at its lines, and what the optimiser left of its variables be printed:

    gdb -ex "set breakpoint pending on" -ex "break softmax.cu:37" -ex run --args python script.py
"""

import numpy as np

from minigrad.cuda.simulator import SCALARS
from minigrad.cuda.source import signatures
from minigrad.cuda.trace import ATOMIC, SHARED, VALUE_KNOWN, WRITE, kernel_text, tracing


def step(kernel, example, block=0, thread=0, source=None, most=200):
    """The accesses of one thread, one to a line: where in the source, what, and the value.

    Args:
        kernel (str): an entry point of csrc/cuda, or of `source`.
        example (callable): calls minigrad with tensors on "cuda-sim" so that the kernel runs.
        block, thread (int): which thread, counted along x first.
        source (str, optional): the text that a kernel of your own was compiled from.
        most (int): how many accesses are shown at most.
    Errors: KeyError for a kernel that is nowhere, ValueError if the example does not run this thread.

    >>> import minigrad as mg
    >>> x = mg.tensor([[0.0, 0.0]], device="cuda-sim")
    >>> print(mg.cuda.step("softmax_forward_warp", lambda: mg.softmax(x, 1), thread=1))  # doctest: +ELLIPSIS
    softmax.cu:...  reads   x[1] = 0.0
    softmax.cu:...  reads   x[1] = 0.0
    softmax.cu:...  writes  y[1] = 0.5
    """
    with tracing(kernel, block, thread, source, most) as trace:
        example()
    if not len(trace.events):
        raise ValueError(f"[step] thread {thread} of block {block} of {kernel} reaches no memory in this example")
    types = _types(source or kernel_text(kernel), kernel)
    return "\n".join(_line(trace, event, types) for event in trace.events)


def _types(text, kernel):
    """{array: dtype} of a kernel's parameters."""
    parameters = signatures(text)[kernel].parameters
    return {p.name: np.dtype(SCALARS[p.ctype]) for p in parameters if p.pointer and p.ctype in SCALARS}


def _line(trace, event, types):
    file, line = trace.place(event["code"])
    verb = "updates" if event["kind"] & ATOMIC else "writes " if event["kind"] & WRITE else "reads  "
    name, size = trace.names[int(event["name"])], int(event["bytes"])
    dtype = types.get(name, np.dtype("f8" if size == 8 else "f4"))  # of shared variables the type is not known
    index = (int(event["address"]) - int(event["base"])) // dtype.itemsize
    where = f"{'shared ' if event['kind'] & SHARED else ''}{name}[{index}]"
    return f"{file}:{line}  {verb} {where}{_shown(event, size, dtype)}"


def _shown(event, size, dtype):
    """The values, of which the first eight bytes are known."""
    if not event["kind"] & VALUE_KNOWN or size < dtype.itemsize:
        return ""
    values = np.frombuffer(event["value"].tobytes()[:size], dtype)
    return " = " + " ".join(map(str, values.tolist())) + (" .." if size > 8 else "")
