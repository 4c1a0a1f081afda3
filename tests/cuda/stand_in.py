"""stand_in: `with installed():` puts fake_cupy.py in the place of CuPy, as if it were installed and found a GPU."""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from minigrad.backend import devices
from minigrad.backend import gpu as memory
from minigrad.cuda import availability, cubin, gpu, launcher
from minigrad.kernel import forget_choices
from tests.cuda import fake_cupy


def forget():
    """Make the package look again for what it keeps of CuPy."""
    availability._found.cache_clear()
    devices.kernels.cache_clear()
    gpu.forget()
    forget_choices()


def compiled(text, name, arch):
    """The stand-in's way to a cubin: none is made."""
    path = Path(f"{name}-sm_{arch}.cubin")
    fake_cupy.sources[str(path)] = text, name
    return cubin.Cubin(path, "", 0.0)


@contextmanager
def installed():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", fake_cupy)
        patch.setattr(memory, "cupy", None)
        patch.setattr(devices, "array_types", devices.array_types)
        patch.setattr(devices, "_of", dict(devices._of))
        patch.setattr(launcher, "cubin", compiled)
        patch.setattr(launcher, "DRIVER", "no driver: launches go by way of the stand-in")
        fake_cupy.launched.clear()
        fake_cupy.counts["synchronisations"] = 0
        forget()
        try:
            yield fake_cupy
        finally:
            forget()
