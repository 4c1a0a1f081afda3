"""With `--device NAME`: every row of test_kernels.py, and whole nets, on that device; without, some on the stand-in.

This is what runs under compute-sanitizer. Below: the option itself.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.array import Arrays
from minigrad.backend.devices import device_of_type, kernels, known, move, on
from minigrad.kernel import KERNELS, widened
from tests import device
from tests.cuda import stand_in
from tests.cuda.test_kernels import CASES, ROUNDING, copies, kernel_of, outputs
from tests.cuda.test_training import NETS, train
from tests.ops import harness
from tests.ops.inputs import same

ROWS = CASES[::15] if device.name == "cpu" else CASES


@pytest.fixture
def where():
    if device.where:
        yield device.where
        return
    with stand_in.installed():
        yield known("tests", "cuda")


def run(row, where):
    name, *args = row
    found = copies(args, lambda a: move(a, where))
    with on(where):
        kernels(type(move(np.zeros(1, np.float32), where)))[name](*found)
    written = [a if isinstance(a, Arrays) else [a] for a in found[: kernel_of(name).outs]]
    return [move(a, "cpu") for arrays in written for a in arrays if a is not None]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_kernel_does_there_what_its_reference_does(row, where):
    name, *args = row
    kernel, expected = kernel_of(name), copies(args)
    widened(kernel.reference, kernel.outs)(*expected)
    first, again = run(row, where), run(row, where)
    for i, (f, e) in enumerate(zip(first, outputs(kernel, expected), strict=True)):
        same(f, e, ROUNDING.get(e.dtype, 2e-5), 2e-6, f"{name}, output {i}")
        assert f.tobytes() == again[i].tobytes(), f"{name}, output {i}: other bits the second time"


@pytest.mark.parametrize("row", NETS[1:2] if device.name == "cpu" else NETS, ids=lambda row: row[0].__name__)
def test_nets_train_there_as_here(row, where):
    *what, steps, _ = row
    here, there = (train(place, *what, 2 if device.name == "cpu" else steps) for place in ("cpu", where))
    np.testing.assert_allclose(there, here, 2e-3)


def test_an_index_there_is_an_index_here(where):
    x, index = mg.randn(4, 3), mg.tensor([2, 0, 2])
    there, place = x.to(where).requires_grad_(), index.to(where)
    np.testing.assert_array_equal(there[place].cpu().detach().numpy(), x[index].numpy())
    there[place].sum().backward()
    assert there.grad.cpu().tolist() == [[1.0] * 3, [0.0] * 3, [2.0] * 3, [0.0] * 3]


# The option ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def carrying(where, monkeypatch):
    monkeypatch.setattr(device, "where", where)
    monkeypatch.setattr(device, "name", "cuda-stand-in")
    yield device.carried(type(KERNELS["exp_forward"]).__call__)


def test_kernels_are_carried_there_and_back(carrying, monkeypatch):
    ran, choose = [], type(KERNELS["exp_forward"]).choose
    monkeypatch.setattr(
        type(KERNELS["exp_forward"]), "choose", lambda k, a: (ran.append(device_of_type(type(a))), choose(k, a))[1]
    )
    x, y = np.full((2, 3), 2, np.float32), np.empty((2, 3), np.float32)
    carrying(KERNELS["mul_forward"], y, x, x)
    assert y.tolist() == [[4.0] * 3] * 2 and set(ran) <= {"cuda"}


def test_a_row_that_is_wrong_there_is_found(carrying):
    right = harness.Case("double", lambda x: x * 2, shapes=[((3, 4),)])
    harness.check(right)
    wrong = harness.Case("planted", lambda x: x * (2 if x.device == "cpu" else 3), shapes=[((3, 4),)])
    with pytest.raises(AssertionError, match="there: output 0"):
        harness.check(wrong)


def suite(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_option_says_what_runs_and_what_does_not():
    files = ["tests/ops/test_permute.py", "tests/test_layout.py"]
    status, shown = suite("--device", "cuda-stand-in", *files)
    assert status == 0, shown
    assert "left out with --device" in shown and "tests: the sources" in shown
    status, shown = suite("--device", "cuda-sim", device.ON_DEVICE, "-k", "softmax_forward")
    assert status == 0 and "passed" in shown, shown


@pytest.mark.skipif(mg.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_suite_is_skipped_with_the_reason():
    status, shown = suite("--device", "cuda", "-rs", "tests/ops/test_permute.py")
    assert status == 0 and "no GPU: CuPy" in shown and "passed" not in shown, shown
