"""The launcher (csrc/driver) on a stub of NVIDIA's driver: what is packed, what is asked for, what goes wrong."""

import struct
import threading

import numpy as np
import pytest

import minigrad as mg
from minigrad.cuda import build, cubin, gpu, launcher, launches
from minigrad.cuda.source import signatures
from tests.cuda import fake_cupy, fake_driver
from tests.cuda.test_gpu import cupy, few_steps  # noqa: F401

pytestmark = pytest.mark.skipif(fake_driver.missing is not None, reason=str(fake_driver.missing))
SOURCE = """
struct Steps { int n; long long by[3]; };
extern "C" __global__ void every(float* y, const unsigned char* m, const long long* k, int a, unsigned b, long long c,
                                 unsigned long long d, float e, double f, bool g) {}
extern "C" __global__ void plain(float* y, int n) {}
"""


@pytest.fixture
def driver(cupy, monkeypatch):  # noqa: F811
    with fake_driver.installed(monkeypatch, simulated=False) as driver:
        yield driver


@pytest.fixture
def simulating(cupy, monkeypatch):  # noqa: F811
    with fake_driver.installed(monkeypatch) as driver:
        yield driver


def start(entry, args, grid=1, block=32, shared=0):
    launcher.starter(SOURCE, "own.cu", entry)(grid, block, args, shared)


def arrays():
    return [fake_cupy.empty((4,), d) for d in (np.float32, np.bool_, np.int64)]


def test_arguments_are_packed_byte_for_byte(driver):
    y, m, k = arrays()
    start("every", (y, m, k, -3, 2**32 - 1, -(2**40), 2**64 - 1, 0.1, 0.1, True), (5, 6, 7), (8, 2))
    launched = driver.launched[-1]
    addresses = [struct.pack("<Q", a.data.ptr) for a in (y, m, k)]
    assert launched[:5] == ("every", (5, 6, 7), (8, 2, 1), 0, fake_driver.STREAM)
    numbers = struct.pack("<i", -3), struct.pack("<I", 2**32 - 1), struct.pack("<q", -(2**40)), b"\xff" * 8
    assert launched.values == [*addresses, *numbers, struct.pack("<f", 0.1), struct.pack("<d", 0.1), b"\x01"]


def test_what_fits_less_plainly_is_packed_too(driver):
    start("every", (None, None, None, np.int64(7), True, np.int32(-1), 0, 3, np.float32(0.5), 0), np.int64(2))
    values = driver.launched[-1].values
    assert values[:3] == [b"\0" * 8] * 3 and driver.launched[-1].grid == (2, 1, 1)
    assert struct.unpack("<iIqQfd?", b"".join(values[3:])[: struct.calcsize("<iIqQfd?")]) == (
        7,
        1,
        -1,
        0,
        3,
        0.5,
        False,
    )


@pytest.mark.parametrize("stem", cubin.stems())
def test_parameters_of_every_kernel_are_known(driver, stem):
    """That they can be packed, and fit into one launch."""
    launches.every()  # whose modules know the structs
    for text in {build.kernel_text(stem, dtype) for dtype in (None, "float16")}:
        for entry, signature in signatures(text).items():
            start = launcher.starter(text, f"{stem}.cu", entry)
            with pytest.raises(
                TypeError, match=rf"\[{entry}\] found 0 arguments, expected {signature.parameters[0].name}"
            ):
                start(1, 1, ())


def test_structs_go_by_value(simulating):
    x = mg.randn(3, 4)
    np.testing.assert_allclose((x.cuda() + x[0].cuda()).cpu().numpy(), (x + x[0]).numpy())
    strides = simulating.launched[-1].values[-2]
    assert simulating.launched[-1].entry == "add_forward_strided" and len(strides) == 232
    assert struct.unpack("<i2i", strides[:12]) == (2, 3, 4)


@pytest.mark.parametrize(
    "entry, args, message",
    [
        ("plain", (1,), r"\[plain\] found 1 arguments, expected y, n"),
        ("plain", (np.zeros(3, np.float32), 1), r"\[plain\] argument y lies on cpu, expected a GPU"),
        ("plain", (None, "three"), r"\[plain\] argument n is 'three', expected int"),
        ("plain", (None, 2**31), r"\[plain\] argument n is 2147483648, expected int"),
        (
            "every",
            (*[None] * 3, 0, 0, 0, -1, 0.0, 0.0, True),
            r"\[every\] argument d is -1, expected unsigned long long",
        ),
    ],
)
def test_what_does_not_fit_is_refused(driver, entry, args, message):
    with pytest.raises(TypeError, match=message):
        start(entry, args)
    assert driver.launched == []


def test_arrays_are_looked_at(driver):
    y, m, _ = arrays()
    with pytest.raises(TypeError, match=r"argument y is an array of bool, expected float"):
        start("plain", (m, 1))
    with pytest.raises(ValueError, match=r"argument y has strides \(8,\), expected contiguous memory"):
        start("plain", (y[::2], 1))
    start("plain", (y[1:], 1))
    assert driver.launched[-1].values[0] == struct.pack("<Q", y.data.ptr + 4)


def test_nothing_to_do_is_not_launched(driver):
    start("plain", (None, 0), grid=0)
    start("plain", (None, 0), grid=(3, 0))
    assert driver.launched == []


@pytest.mark.parametrize("call, message", [("cuLaunchKernel", "too many resources"), ("cuModuleLoadData", "no words")])
def test_errors_name_the_kernel_and_say_what_the_driver_says(driver, call, message):
    driver.stub.stub_fail(call.encode(), 701 if message.startswith("too") else 200)
    with pytest.raises(RuntimeError, match=message) as caught:
        start("plain", (None, 1), grid=3)
    if call == "cuLaunchKernel":
        assert str(caught.value).startswith("[plain] the launch of 3 x 1 x 1 blocks of 32 x 1 x 1 threads failed")
    start("plain", (None, 1))
    assert len(driver.launched) == 1


def test_shared_memory_is_asked_for_once(driver):
    start("plain", (None, 1), shared=48 << 10)
    start("plain", (None, 1), shared=100_000)
    driver.stub.stub_fail(b"cuFuncSetAttribute", 1)
    start("plain", (None, 1), shared=100_000)
    start("plain", (None, 1), shared=60_000)
    assert [x.shared for x in driver.launched] == [48 << 10, 100_000, 100_000, 60_000]
    with pytest.raises(RuntimeError, match=r"\[plain\] 200000 bytes of shared memory"):
        start("plain", (None, 1), shared=200_000)


def test_launches_go_into_the_current_stream(driver, monkeypatch):
    other = fake_cupy.Stream()
    other.ptr = 99
    with other:
        start("plain", (None, 1))
    start("plain", (None, 1))
    assert [x.stream for x in driver.launched] == [99, fake_driver.STREAM]


def test_a_thread_without_a_context_gets_one(driver, monkeypatch):
    attached = []
    driver.stub.stub_context(0, 0)

    def attach():
        attached.append(threading.current_thread())
        driver.stub.stub_context(1, 0)

    fake_driver._driver.configure(fake_cupy.ndarray, fake_cupy.cuda.get_current_stream, attach)
    monkeypatch.setattr(launcher, "attach", attach)
    launcher.native.cache_clear()
    thread = threading.Thread(target=start, args=("plain", (None, 1)))
    thread.start()
    thread.join()
    assert attached == [thread] and len(driver.launched) == 1


def test_each_gpu_loads_the_kernels_for_itself(driver, monkeypatch):
    asked, compiled = [], launcher.cubin
    monkeypatch.setattr(launcher, "cubin", lambda *args: asked.append(args[2]) or compiled(*args))
    for device in (0, 1, 0, 1):
        driver.stub.stub_context(1, device)
        start("plain", (None, 1))
    assert len(driver.launched) == 4 and asked == ["90", "90"]


def test_a_driver_that_is_too_old_or_not_there_leaves_it_to_cupy(cupy, monkeypatch):  # noqa: F811
    for name in ("no such driver", "libm.so.6"):
        monkeypatch.setattr(launcher, "DRIVER", name)
        gpu.forget()
        assert launcher.native() is None
    x = mg.tensor([1.0, 2.0], device="cuda")
    assert (x + x).tolist() == [2.0, 4.0] and fake_cupy.launched[-1][0] == "add_forward"


def test_a_net_trains_as_on_the_cpu(simulating):
    np.testing.assert_allclose(few_steps("cuda")[0], few_steps("cpu")[0], 1e-4)
    assert {"adam_step", "cross_entropy_backward"} <= {x.entry for x in simulating.launched}
