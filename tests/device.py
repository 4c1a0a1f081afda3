"""device: `pytest --device NAME`: the suite with its kernels on a GPU ("cuda"), on the simulator ("cuda-sim"), or on
the stand-in for CuPy ("cuda-stand-in").

The rows of tests/ops run wholly there, and their results are held against the reference on the CPU
(`tests/ops/harness.py`). In all other tests tensors stay on the CPU, and each kernel is carried: its arguments go
there, it runs there, what it wrote comes back. What a GPU has no part in is deselected, and the reason said.
"""

from contextlib import ExitStack

import pytest

import minigrad as mg
from minigrad.backend import devices
from minigrad.backend.devices import Arrays
from minigrad.kernel import Kernel
from tests.cuda import stand_in

NAMES = ("cpu", "cuda", "cuda-sim", "cuda-stand-in")
name = "cpu"  # what was asked for
where = None  # the device that kernels run on, None for the CPU

ON_DEVICE = "tests/cuda/test_on_device.py"
CPU_ONLY = {  # part of a test's name -> why it says nothing about another device
    "tests/extension/": "the C++ extension",
    "tests/cuda/": f"the simulator and the stand-in themselves: their rows run in {ON_DEVICE}",
    "tests/workers/": "processes that load data",
    "tests/vision/": "pictures on the CPU",
    "tests/test_capture.py": "recorded steps of the CPU",
    "tests/test_benchmarks.py": "figures of the CPU",
    "tests/test_gpu_session.py": "benchmarks on the simulator",
    "tests/test_layout.py": "the sources",
    "tests/test_kernel.py": "which body the CPU runs",
    "tests/test_graph.py": "graphs of many thousand tiny ops, kernels aside",
    "tests/test_docs.py": "the documentation",
    "tests/test_doctor.py": "the installation",
    "tests/test_data": "data",
    "tests/test_safetensors.py": "files",
    "tests/test_serialization.py": "files",
    "tests/test_devices.py": "the simulator's tensors",
    "tests/test_examples.py": "programs of their own",
    "tests/test_worked_examples.py": "programs of their own",
    "thread": "threads of the CPU",
}


def simulated():
    """Whether what runs there is simulated."""
    return name != "cuda"


def reason(test):
    """Why a test stays on the CPU; None for one that does not."""
    marker = test.get_closest_marker("cpu_only")
    if marker:
        return marker.args[0]
    return None if ON_DEVICE in test.nodeid else next((w for part, w in CPU_ONLY.items() if part in test.nodeid), None)


def deselect(config, items):
    """Leave out what is the CPU's; returns {reason: how many}."""
    counts, kept, left = {}, [], []
    for item in items:
        why = reason(item) if name != "cpu" else None
        (left if why else kept).append(item)
        counts |= {why: counts.get(why, 0) + 1} if why else {}
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept
    return counts


def start(asked):
    """Let kernels run on a device from now on; returns (an ExitStack that ends it, what is missing or None)."""
    global name, where
    stack, name = ExitStack(), asked
    if asked == "cpu":
        return stack, None
    if asked == "cuda-stand-in":
        stack.enter_context(stand_in.installed())
    if asked != "cuda-sim" and mg.cuda.availability.missing():
        return stack, mg.cuda.availability.missing()
    where = devices.known("--device", "cuda-sim" if asked == "cuda-sim" else "cuda")
    with devices.on(where):  # which is in use from now on
        pass
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setattr(Kernel, "__call__", carried(Kernel.__call__))
    return stack, None


def exact_memory():
    """Let each array on the GPU be an allocation of its own: a pool's blocks would hide what lies beyond an end."""
    if where == devices.CUDA:
        devices.gpu.load().cuda.set_allocator(None)


def carried(call):
    """Kernel.__call__ for arguments on the CPU: there and back."""

    def carry(kernel, *args):
        if devices.device_of(args[kernel.key]) != devices.CPU:
            return call(kernel, *args)
        known = {}  # an array that comes twice is one there too
        there = [moved(a, known) for a in args]
        with devices.on(where):
            call(kernel, *there)
        for out, result in zip(args[: kernel.outs], there, strict=False):
            bring_back(out, result)

    return carry


def moved(a, known):
    if isinstance(a, Arrays):
        return Arrays([moved(x, known) for x in a])
    if not isinstance(a, devices.array_types):
        return a
    if id(a) not in known:
        known[id(a)] = devices.move(a, where)
    return known[id(a)]


def bring_back(out, result):
    if isinstance(out, Arrays):
        for o, r in zip(out, result, strict=True):
            bring_back(o, r)
    elif out is not None:
        out[...] = devices.move(result, "cpu")


def header():
    if name == "cpu":
        return []
    what = {"cuda": "a GPU, by CuPy", "cuda-sim": "the simulator", "cuda-stand-in": "the stand-in for CuPy, simulated"}
    return [f"--device {name}: rows of tests/ops wholly there, kernels of other tests carried there: {what[name]}"]
