"""What is said of a GPU where there is none: with CuPy, without it, and with a driver that fails."""

import subprocess
import sys
import types

import pytest

import minigrad as mg
from minigrad.cuda import availability


@pytest.fixture
def cupy(monkeypatch):
    """A function that puts a CuPy in place, and forgets it afterwards."""

    def install(count):
        runtime = types.SimpleNamespace(getDeviceCount=count)
        module = count and types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
        monkeypatch.setitem(sys.modules, "cupy", module)
        availability._found.cache_clear()

    yield install
    availability._found.cache_clear()


def no_driver():
    raise RuntimeError("CUDA driver version is insufficient")


@pytest.mark.parametrize(
    "count, gpus, words",
    [
        (None, 0, "CuPy is not installed: pip install"),
        (no_driver, 0, "CuPy finds no GPU: CUDA driver version is insufficient"),
        (lambda: 0, 0, "CuPy finds no GPU"),
        (lambda: 2, 2, None),
    ],
)
def test_what_is_found(cupy, count, gpus, words):
    cupy(count)
    assert (mg.cuda.device_count(), mg.cuda.is_available()) == (gpus, gpus > 0)
    assert (mg.cuda.missing() or "").startswith(words or "")
    assert (mg.cuda.missing() is None) == (words is None)


def test_nothing_of_cupy_is_imported_unasked():
    code = "import sys, minigrad; minigrad.zeros(2, device='cuda-sim'); print('cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
