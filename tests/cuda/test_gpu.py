"""The device "cuda" on a stand-in for CuPy (fake_cupy.py), which simulates the launches: all of it but the GPU."""

import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import gpu as memory
from minigrad.nn import functional as F
from tests.cuda import fake_cupy, stand_in


@pytest.fixture
def cupy():
    """The stand-in, as if it were installed."""
    with stand_in.installed():
        yield fake_cupy


def started():
    return [name for name, _ in fake_cupy.launched]


def test_tensors_are_made_there_and_move(cupy):
    x = mg.tensor([1.0, 2.0], device="cuda")
    assert (x.device, type(x.array), x.tolist()) == ("cuda", cupy.ndarray, [1.0, 2.0])
    assert repr(x) == "tensor([1., 2.], device='cuda')"
    assert {m(3, device="cuda:0").device for m in (mg.zeros, mg.ones, mg.rand, mg.randn)} == {"cuda"}
    here = mg.arange(6.0).reshape(2, 3)
    for there in (here.cuda(), here.to("cuda"), here.to("cuda-sim").to("cuda")):
        assert there.device == "cuda" and there.cpu().tolist() == here.tolist()
    assert here.cuda().to("cuda-sim").tolist() == here.tolist()
    assert x.cuda() is x and type(x.cpu().numpy()) is np.ndarray
    assert mg.nn.Linear(2, 2).cuda().weight.device == "cuda"


def test_kernels_are_started_with_arguments_of_the_declared_types(cupy):
    x = mg.randn(5, 70)
    np.testing.assert_allclose(mg.softmax(x.cuda(), 1).cpu().numpy(), mg.softmax(x, 1).numpy(), 1e-5, 1e-7)
    name, args = fake_cupy.launched[-1]
    assert name == "softmax_forward_warp"
    assert [a.dtype.str for a in args[:4]] == ["<u8", "<u8", "<i8", "<i4"] and args[2:4] == (5, 70)


def test_a_kernel_of_your_own(cupy):
    double = mg.cuda.compile("""
    extern "C" __global__ void twice(float* y, const float* x, int n) {
      const int i = blockIdx.x * blockDim.x + threadIdx.x;
      if (i < n) y[i] = 2.0f * x[i];
    }""")
    x = mg.tensor([1.0, 2.0, 3.0], device="cuda")
    y = mg.empty_like(x)
    double(1, 32, (y, x, 3))
    assert y.tolist() == [2.0, 4.0, 6.0] and started() == ["twice"]
    with pytest.raises(TypeError, match=r"\[twice\] argument x lies on cpu, expected a GPU"):
        double(1, 32, (y, x.cpu(), 3))
    with pytest.raises(TypeError, match=r"\[twice\] argument x is an array of float64, expected float"):
        double(1, 32, (y, x.double(), 3))
    with pytest.raises(TypeError, match=r"found 2 arguments, expected y, x, n"):
        double(1, 32, (y, x))


@pytest.mark.parametrize(
    "function, kernel",
    [
        (lambda x: x.exp() * 2 + x, "add_forward"),
        (lambda x: x + x[0], "add_forward_strided"),
        (lambda x: x @ x.transpose(0, 1), "matmul_forward"),
        (lambda x: x.sum(0), "sum_forward_columns"),
        (lambda x: F.layer_norm(x, (8,)), "layer_norm_forward_warp"),
        (lambda x: mg.where(x > 0, x, 0.5), "where_forward"),
        (lambda x: F.cross_entropy(x, x.argmax(1)), "cross_entropy_forward_rows"),
        (lambda x: x.half() * 2, None),
        (lambda x: x[1:, ::2].contiguous(), None),
        (lambda x: mg.cat([x, x]), None),
        (lambda x: x.double().cumsum(1), None),
    ],
)
def test_results_are_those_of_the_cpu(cupy, function, kernel):
    x = mg.randn(6, 8)
    there = function(x.cuda())
    assert there.device == "cuda"
    np.testing.assert_allclose(there.cpu().float().numpy(), function(x).float().numpy(), 1e-5, 1e-5)
    assert kernel is None or any(name.startswith(kernel) for name in started())


def few_steps(device):
    """The losses of a small net, and how often its steps waited for the GPU."""
    mg.manual_seed(3)
    model = mg.nn.Sequential(mg.nn.Linear(6, 16), mg.nn.ReLU(), mg.nn.Linear(16, 3)).to(device)
    optimizer = mg.optim.Adam(model.parameters(), lr=0.05)
    x, y = mg.randn(20, 6).to(device), mg.randint(0, 3, (20,)).to(device)
    fake_cupy.counts["synchronisations"], found = 0, []
    for _ in range(3):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        found.append(loss.detach())
    waited = fake_cupy.counts["synchronisations"]
    return [loss.item() for loss in found], waited


def test_a_net_trains_as_on_the_cpu_without_waiting(cupy):
    (there, waited), (here, _) = few_steps("cuda"), few_steps("cpu")
    np.testing.assert_allclose(there, here, 1e-4)
    assert waited == 0
    assert {"adam_step", "cross_entropy_backward"} <= set(started())


def test_tensors_that_lie_apart(cupy):
    with pytest.raises(RuntimeError, match=r"on cuda and .* on cpu"):
        mg.ones(2, device="cuda") + mg.ones(2)
    with pytest.raises(RuntimeError, match=r"on cuda-sim and .* on cuda"):
        mg.ones(2, device="cuda-sim") * mg.ones(2, device="cuda")
    with pytest.raises(TypeError, match=r"a tensor on cuda has no memory to share with numpy: use cpu\(\) first"):
        mg.ones(2, device="cuda").numpy()
    assert (mg.ones(2, device="cuda") * mg.tensor(3.0)).tolist() == [3.0, 3.0]


def test_views_are_known(cupy):
    x = mg.zeros(2, 3, device="cuda")
    x[1] = mg.ones(3, device="cuda")
    x[:, 0].add_(5.0)
    assert x.tolist() == [[5.0, 0.0, 0.0], [6.0, 1.0, 1.0]] and x._version > 0


def test_streams_and_events(cupy):
    stream, begin, end = mg.cuda.Stream(), mg.cuda.Event(enable_timing=True), mg.cuda.Event(enable_timing=True)
    with mg.cuda.stream(stream):
        assert mg.cuda.current_stream().raw is stream.raw
        begin.record()
    assert begin.raw.stream is stream.raw and begin.raw.timed
    end.record(stream)
    mg.cuda.current_stream().wait_stream(stream)
    begin.wait(stream)
    assert stream.raw.waits == [begin.raw]
    stream.synchronize()
    end.synchronize()
    assert stream.query() and end.query() and begin.elapsed_time(end) == 1.5
    assert fake_cupy.counts["synchronisations"] == 2


def test_the_device(cupy):
    assert mg.cuda.is_available() and mg.cuda.current_device() == 0
    mg.cuda.synchronize()
    assert fake_cupy.counts["synchronisations"] == 1
    assert mg.cuda.memory_stats() == {"in_use": 256, "held": 512}


@pytest.mark.parametrize(
    "use",
    [
        lambda: mg.cuda.current_device(), lambda: mg.cuda.synchronize(), lambda: mg.cuda.memory_stats(),
        lambda: mg.cuda.Stream(), lambda: mg.cuda.Event(), lambda: mg.zeros(2).cuda(),
        lambda: mg.zeros(2, device="cuda"), lambda: mg.nn.Linear(2, 2).cuda(), lambda: mg.nn.Linear(2, 2).to("cuda"),
    ],
)  # fmt: skip
def test_without_cupy_the_error_says_what_to_install(monkeypatch, use):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(memory, "cupy", None)
    stand_in.forget()
    with pytest.raises(RuntimeError, match=r"CuPy is not installed: pip install 'minigrad-kernels\[cuda13\]'"):
        use()
    stand_in.forget()
