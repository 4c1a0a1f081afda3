"""step: one thread of a kernel, followed line by line: with its variables where there is gdb (`debugger.py`), else
through what it reads and writes (`trace.py`).

gdb itself stops at lines of kernels too, best in mode "debug", which leaves all variables where they are:

    export MINIGRAD_CUDA_SIM=debug
    gdb -ex "set breakpoint pending on" -ex "break softmax.cu:36" -ex run --args python script.py
"""

import numpy as np

from minigrad.cuda import debugger
from minigrad.cuda.simulator import SCALARS, KernelError
from minigrad.cuda.source import signatures
from minigrad.cuda.trace import ATOMIC, SHARED, VALUE_KNOWN, WRITE, file_of, kernel_text, tracing


def step(kernel, example, block=0, thread=0, source=None, most=200, gdb=None):
    """What one thread does, as text. Through gdb: each line that it comes to, and below it the variables that the line
    changed; an address in an array is shown as `x + 3`. Without: its accesses of memory, one to a line, with values.

    gdb runs the first launch of the kernel again in a process of its own, from a copy of the arrays as they were, with
    threads in order, compiled without optimisation.

    Args:
        kernel (str): an entry point of csrc/cuda, or of `source`.
        example (callable): calls minigrad with tensors on "cuda-sim" so that the kernel runs.
        block, thread (int): which thread, counted along x first.
        source (str, optional): the text that a kernel of your own was compiled from.
        most (int): how many lines, or accesses, are shown at most.
        gdb (bool, optional): whether to use gdb; where it is there, unless given.
    Errors: KeyError for a kernel that is nowhere, ValueError if the example does not run this thread; without gdb
    KernelError for a fault, which gdb leads up to.

    >>> import minigrad as mg
    >>> x = mg.tensor([[0.0, 0.0]], device="cuda-sim")
    >>> example = lambda: mg.softmax(x, 1)
    >>> print(mg.cuda.step("softmax_forward_warp", example, thread=1, gdb=False))  # doctest: +ELLIPSIS
    softmax.cu:...  reads   x[1] = 0.0
    softmax.cu:...  reads   x[1] = 0.0
    softmax.cu:...  writes  y[1] = 0.5
    """
    text = source or kernel_text(kernel)
    fault = None
    with debugger.recorded(kernel) as kept, tracing(kernel, block, thread, source, most) as trace:
        try:
            example()
        except KernelError as error:
            fault = error
    if kept and (debugger.is_there() if gdb is None else gdb):
        name = "kernel.cu" if source else f"{file_of(kernel)}.cu"
        if lines := debugger.walk(kept[0], kernel, text, name, block, thread, most):
            return lines
    if fault:
        raise fault
    if not len(trace.events):
        raise ValueError(f"[step] thread {thread} of block {block} of {kernel} reaches no memory in this example")
    types = _types(text, kernel)
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
