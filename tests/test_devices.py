"""Devices: where tensors lie, how they move, and what is said when they lie apart. All of it on the simulator."""

import copy
import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import cpu, devices, simulated
from minigrad.kernel import KERNELS
from minigrad.nn import functional as F

SIM = "cuda-sim"


def test_tensors_are_made_there():
    x = mg.tensor([1.0, 2.0], device=SIM)
    assert (x.device, x.tolist()) == (SIM, [1.0, 2.0])
    assert repr(x) == "tensor([1., 2.], device='cuda-sim')"
    makers = [mg.zeros, mg.ones, mg.empty, mg.rand, mg.randn]
    assert {m(3, device=SIM).device for m in makers} == {SIM}
    others = [mg.full((2,), 7, device=SIM), mg.arange(3, device=SIM), mg.linspace(0, 1, 3, device=SIM)]
    others += [mg.eye(2, device=SIM), mg.randint(0, 5, (3,), device=SIM), mg.randperm(4, device=SIM)]
    assert {t.device for t in others} == {SIM}
    assert mg.arange(3, device=SIM).tolist() == [0, 1, 2]
    assert {mg.zeros_like(x).device, mg.empty_like(x).device, mg.full_like(x, 2).device} == {SIM}
    assert mg.as_tensor(np.ones(2), device=SIM).device == SIM
    assert mg.zeros(2).device == "cpu"


def test_random_numbers_are_those_of_the_cpu():
    mg.manual_seed(3)
    here = mg.randn(50)
    mg.manual_seed(3)
    np.testing.assert_allclose(mg.randn(50, device=SIM).cpu().numpy(), here.numpy(), 1e-5, 1e-6)


def test_tensors_move_and_gradients_move_back():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    there = x.to(SIM)
    assert (there.device, x.device, there.cpu().device) == (SIM, "cpu", "cpu")
    assert there.to(SIM) is there
    assert there.to(mg.float64).device == SIM
    assert x.to(there).device == SIM
    (there * there).sum().backward()
    assert (x.grad.device, x.grad.tolist()) == ("cpu", [2.0, 4.0])


def test_a_leaf_there_gets_its_gradient_there():
    x = mg.tensor([[1.0, 2.0]], device=SIM, requires_grad=True)
    (x.exp() + 2 * x + x * mg.tensor(3.0)).sum().backward()
    assert x.grad.device == SIM
    np.testing.assert_allclose(x.grad.cpu().numpy(), [[math.e + 5, math.e**2 + 5]], 1e-6)


def test_second_gradients():
    x = mg.tensor([1.0, 2.0], device=SIM, requires_grad=True)
    (dx,) = mg.autograd.grad((x * x * x).sum(), x, create_graph=True)
    (ddx,) = mg.autograd.grad(dx.sum(), x)
    assert (ddx.device, ddx.tolist()) == (SIM, [6.0, 12.0])


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "tpu"])
def test_a_device_that_is_not_there(name):
    for make in (lambda: mg.zeros(2, device=name), lambda: mg.zeros(2).to(name), lambda: mg.nn.Linear(2, 2).to(name)):
        with pytest.raises(RuntimeError, match=f"device '{name}' is not available, expected 'cpu' or 'cuda-sim'"):
            make()


def test_tensors_on_different_devices():
    here, there = mg.ones(2, 3), mg.ones(2, 3, device=SIM)
    for mixed in (lambda: here + there, lambda: there * here, lambda: mg.cat([here, there]), lambda: there.add_(here),
                  lambda: here.mul_(there), lambda: mg.where(there > 0, here, here),
                  lambda: there @ here.T):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"on cuda-sim and .* on cpu|on cpu and .* on cuda-sim"):
            mixed()


def test_a_number_may_come_from_the_cpu():
    there = mg.ones(2, device=SIM)
    assert (there * mg.tensor(2.0)).tolist() == [2.0, 2.0]
    assert (there + 1).device == (1 - there).device == SIM
    assert there.copy_(mg.tensor([5.0, 6.0])).tolist() == [5.0, 6.0]


def test_numpy_needs_the_cpu():
    there = mg.ones(2, device=SIM)
    with pytest.raises(TypeError, match=r"a tensor on cuda-sim has no memory to share with numpy: use cpu\(\) first"):
        there.numpy()
    with pytest.raises(TypeError, match="use cpu"):
        np.asarray(there)
    assert type(there.cpu().numpy()) is np.ndarray


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[1:, ::2], lambda x: x[[0, 2]], lambda x: x.reshape(-1), lambda x: x.permute(1, 0).contiguous(),
        lambda x: x.expand(2, 3, 4), lambda x: mg.cat([x, x]), lambda x: x.max(1)[0], lambda x: x > 0,
        lambda x: x.sum(), lambda x: x.var(0), lambda x: x.cumsum(1), lambda x: mg.flip(x, 0), lambda x: x.double(),
        lambda x: x.half() * 2, lambda x: mg.where(x > 0, x, 0.0), lambda x: x.sort(1)[0] if hasattr(x, "sort") else x,
        lambda x: F.softmax(x, 1), lambda x: x.tril(), lambda x: x.isnan(), lambda x: x.clone(), lambda x: x @ x.T,
        lambda x: mg.isfinite(x), lambda x: x.clamp(0, 1), lambda x: F.dropout(x, 0.5), lambda x: x.argmax(1),
    ],
)  # fmt: skip
def test_results_stay_there_and_are_those_of_the_cpu(function):
    x = mg.tensor(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    mg.manual_seed(1)
    here = function(x)
    mg.manual_seed(1)
    there = function(x.to(SIM))
    assert there.device == SIM
    np.testing.assert_allclose(there.cpu().numpy(), here.numpy(), 2e-5, 1e-6)


def test_in_place_writes_reach_views():
    x = mg.zeros(3, 4, device=SIM)
    x[1] = 5.0
    x.t()[0].add_(1.0)
    x[:, 3:].fill_(2.0)
    assert x.tolist() == [[1, 0, 0, 2], [6, 5, 5, 2], [1, 0, 0, 2]]
    assert x._version == 3


def test_modules_move_with_their_buffers():
    model = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.BatchNorm1d(4))
    model(mg.randn(5, 3)).sum().backward()
    model.to(SIM)
    assert {t.device for t in (*model.parameters(), *model.buffers())} == {SIM}
    assert {p.grad.device for p in model.parameters()} == {SIM}
    assert model(mg.randn(5, 3, device=SIM)).device == SIM
    model.double()
    assert {t.device for t in (*model.parameters(), *model.buffers())} == {SIM}
    assert {t.device for t in model.cpu().parameters()} == {"cpu"}


def test_state_goes_from_device_to_device():
    there, here = mg.nn.Linear(2, 2).to(SIM), mg.nn.Linear(2, 2)
    here.load_state_dict(there.state_dict())
    assert here.weight.device == "cpu"
    np.testing.assert_array_equal(here.weight.detach().numpy(), there.weight.detach().cpu().numpy())
    twin = copy.deepcopy(there)
    assert twin.weight.device == SIM


@pytest.mark.parametrize("make", [lambda p: mg.optim.SGD(p, 0.1, momentum=0.9), lambda p: mg.optim.AdamW(p, 0.1)])
def test_training_there_is_training_here(make):
    losses = []
    for device in ("cpu", SIM):
        mg.manual_seed(0)
        model = mg.nn.Sequential(mg.nn.Linear(6, 8), mg.nn.ReLU(), mg.nn.LayerNorm(8), mg.nn.Linear(8, 3))
        model.to(device)
        x, t = mg.randn(10, 6).to(device), mg.arange(10).to(device) % 3
        optimizer = make(model.parameters())
        for _ in range(4):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), t)
            loss.backward()
            mg.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        losses.append(loss.item())
        assert loss.device == device
    np.testing.assert_allclose(losses[1], losses[0], 1e-4)


def test_memory_there_starts_as_nan_and_is_guarded():
    x = simulated.empty((5,), np.float32)
    assert np.isnan(x).all()
    assert x.ctypes.data % 256 == 0
    assert simulated.is_intact(x[1:3])
    outside = np.ndarray((6,), np.float32, x.base, x.ctypes.data - np.frombuffer(x.base, np.uint8).ctypes.data)
    outside[5] = 0
    assert not simulated.is_intact(x)


def test_the_dispatch_takes_the_bodies_of_the_device():
    x = devices.move(np.ones((2, 3), np.float32), SIM)
    kernel = KERNELS["softmax_forward"]
    kernel.choose(x)
    assert kernel.bodies[type(x), x.dtype] is devices.kernels(type(x))["softmax_forward"]
    with mg.tier("reference"):
        kernel.choose(x)
        assert kernel.bodies[type(x), x.dtype] is kernel.reference


@pytest.mark.skipif(not cpu.kernels(), reason="without the C++ extension a captured step runs as it is written")
def test_a_step_there_can_be_captured():
    step = mg.capture(lambda x: (x * 2).sum())
    for i in range(4):
        assert step(mg.full((3,), float(i), device=SIM)).item() == 6 * i
    assert step.programs
