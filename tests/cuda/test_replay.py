"""capture on other devices: the simulator repeats its calls, a GPU (on stand-ins for it) launches graphs."""

import gc
from contextlib import contextmanager

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.backend import cpu
from minigrad.cuda import gpu, graph
from minigrad.kernel import forget_choices
from minigrad.nn import functional as F
from minigrad.replay.program import Program
from minigrad.replay.remote import Remote
from tests.cuda import fake_blas, fake_capture, fake_cupy, fake_driver
from tests.cuda.test_gpu import cupy  # noqa: F401
from tests.test_capture import (
    OPTIMIZERS,
    Attention,
    Images,
    batches,
    evaluate,
    freeze,
    regular,
    replays,
    reseed,
    training,
    weight_decay,
)

pytestmark = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")


def mlp():
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 3))


@pytest.fixture
def driver(cupy, monkeypatch):  # noqa: F811
    if fake_driver.missing:
        pytest.skip(fake_driver.missing)
    with fake_driver.installed(monkeypatch) as driver:
        fake_capture.install(monkeypatch, driver)
        yield driver


@pytest.fixture(params=["cuda-sim", "cuda"])
def device(request):
    if request.param == "cuda":
        request.getfixturevalue("driver")
    return request.param


def check_training(build, optimizer, device, dtype=mg.float32):
    losses, state, *_ = training(build, optimizer, False, None, dtype, device)
    found, found_state, _, run = training(build, optimizer, True, None, dtype, device)
    assert found == losses
    for name in state:
        np.testing.assert_array_equal(found_state[name], state[name], err_msg=name)
    assert replays(run) == 1
    return next(iter(next(iter(run.programs.values()))))


@pytest.mark.parametrize("build", [mlp, regular, Images, Attention])
def test_training_is_the_same(device, build):
    replay = check_training(build, OPTIMIZERS["Adam"], device)
    kinds = {type(part) for part in replay.program.parts}
    assert kinds == ({graph.Graph} if device == "cuda" else {type(replay.program.steps[0])})


@pytest.mark.parametrize("dtype", [mg.float16, mg.bfloat16], ids=str)
def test_halves(driver, dtype):
    """What is widened around a kernel is noted with it, but not its numbers: such calls stand between graphs."""
    replay = check_training(regular, OPTIMIZERS["Adam"], "cuda", dtype)
    kinds = [type(part).__name__ for part in replay.program.parts]
    assert kinds.count("Graph") >= 3 and kinds.count("Step") <= 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(driver, name):
    replay = check_training(mlp, OPTIMIZERS[name], "cuda")
    assert [type(part) for part in replay.program.parts] == [graph.Graph]


@pytest.mark.parametrize("build", [mlp, regular, Images, Attention])
def test_no_step_waits_for_the_gpu(driver, build):
    """Forward, loss, backward, clipping and the optimizer: what waits is counted by the stand-in."""
    model = build().cuda()
    opt = optim.AdamW(model.parameters(), lr=0.01)
    data = [(x.cuda(), y.cuda()) for x, y in batches()[:3]]
    fake_cupy.counts["synchronisations"], losses = 0, []
    for x, y in data:
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        losses.append(loss.detach())
    assert fake_cupy.counts["synchronisations"] == 0
    assert np.isfinite([loss.item() for loss in losses]).all() and fake_cupy.counts["synchronisations"] == 3


def replace_bias(model, opt, i):
    if i == 5:
        model[0].bias.data = mg.ones(16, device="cuda")


@pytest.mark.parametrize("change", [replace_bias, freeze, evaluate, weight_decay, reseed])
def test_what_changes_is_noticed(driver, change):
    def found(captured):
        losses, state, *_ = training(regular, OPTIMIZERS["Adam"], captured, change, device="cuda")
        return losses, [x.tolist() for x in state.values()]

    assert found(True) == found(False)


def stepping(device, n=512, **options):
    """A step with scratch memory of its own (its product is cut along k) and a number that changes."""
    w = mg.ones(n, 4, device=device, requires_grad=True)
    opt = optim.Adam([w], lr=0.1)

    def step(x):
        opt.zero_grad()
        (x @ w).sum().backward()
        opt.step()
        return w.detach().sum()

    return mg.capture(step), mg.ones(2, n, device=device)


def test_a_replay_is_one_launch_and_no_waiting(driver):
    step, x = stepping("cuda")
    for _ in range(4):
        step(x)
    before = driver.stub.stub_launches(), driver.stub.stub_graph_launches()
    fake_cupy.counts["synchronisations"] = 0
    for _ in range(4):
        step(x)
    assert driver.stub.stub_graph_launches() - before[1] == 4
    assert driver.stub.stub_launches() == before[0] and fake_cupy.counts["synchronisations"] == 0


def others(step, x):
    """What arrays of other work hold after replays, which were made behind the capture and filled with ones."""
    for _ in range(4):
        step(x)
    kept = [mg.ones(n, device="cuda") for n in (8, 16, 64, 128, 512, 4096) for _ in range(6)]
    for _ in range(3):
        step(x)
    return {v for k in kept for v in k.tolist()}


def test_graphs_leave_the_memory_of_others_alone(driver, monkeypatch):
    assert others(*stepping("cuda")) == {1.0}

    @contextmanager
    def public(self):
        with self.stream:
            yield

    monkeypatch.setattr(graph.Graphs, "private", public)  # the fault: scratch from the pool that all share
    assert others(*stepping("cuda")) != {1.0}


def test_a_temporary_that_is_overwritten_is_found(driver, monkeypatch):
    """A planted fault: what is found once lies where later calls of the step write."""
    step = mg.capture(lambda x: (mg.arange(4.0, device="cuda") + x).exp() + x * 2)
    for _ in range(4):
        assert step(mg.zeros(4, device="cuda"))[1].item() == pytest.approx(np.e)
    monkeypatch.setattr(Remote, "_cast", Program._cast)
    step = mg.capture(lambda x: (mg.arange(4.0, device="cuda") + x).exp() + x * 2)
    with pytest.raises(RuntimeError, match="gives other results"):
        for _ in range(4):
            step(mg.zeros(4, device="cuda"))


def test_a_capture_that_fails_is_unwound(driver, monkeypatch):
    body = gpu.bodies()["exp_forward"]

    def waits(*args):
        fake_cupy.Device().synchronize()
        body(*args)

    monkeypatch.setitem(gpu.bodies(), "exp_forward", waits)
    forget_choices()
    w = mg.ones(3, device="cuda", requires_grad=True)
    opt = optim.SGD([w], lr=0.5)

    def step(x):
        opt.zero_grad()
        (w * x).exp().sum().backward()
        opt.step()

    v = w.detach().clone().requires_grad_()
    run, x = mg.capture(step), mg.zeros(3, device="cuda")
    with pytest.raises(RuntimeError, match=r"\[capture\] exp_forward cannot be part of a graph: .*capturing"):
        for _ in range(4):
            run(x)
    gc.collect()
    assert not driver.capturing() and driver.stub.stub_graphs_alive() == 0 and gc.isenabled()
    assert w.tolist() == v.tolist()  # x is 0, and so is the gradient: nothing was done twice
    step(mg.ones(3, device="cuda"))
    assert w.tolist() == pytest.approx([1 - 0.5 * np.e] * 3)


@pytest.mark.parametrize(
    "call, message",
    [
        ("cuStreamBeginCapture", r"the stream cannot be captured"),
        ("cuStreamEndCapture", r"the capture failed"),
        ("cuGraphInstantiate", r"no graph could be made"),
        ("cuGraphLaunch", r"the launch of a graph failed"),
        ("cuGraphExecKernelNodeSetParams", r"\[adam_step\] a graph does not take other arguments"),
    ],
)
def test_errors_of_the_driver(driver, call, message):
    step, x = stepping("cuda")
    for _ in range(3 if call.endswith("SetParams") else 2):
        step(x)
    driver.stub.stub_fail(call.encode(), 999)
    with pytest.raises(RuntimeError, match=message):
        step(x)
    assert not driver.capturing()


def test_graphs_go_with_the_step(driver):
    step, x = stepping("cuda")
    for _ in range(4):
        step(x)
    assert driver.stub.stub_graphs_alive() == 2  # what was captured, and what is launched
    del step
    gc.collect()
    assert driver.stub.stub_graphs_alive() == 0


def test_numbers_that_no_graph_can_change_are_found_between_graphs(driver):
    w = mg.ones(3, dtype=mg.float64, device="cuda").requires_grad_()
    v = mg.ones(3, dtype=mg.float64).requires_grad_()

    def stepped(w):
        opt = optim.Adam([w], lr=0.1)

        def step(x):
            opt.zero_grad()
            (w * x).sum().backward()
            opt.step()
            return w.detach() * 2

        return step

    run, eager = mg.capture(stepped(w)), stepped(v)
    for i in range(6):
        x = mg.full((3,), i + 1.0, dtype=mg.float64)
        np.testing.assert_allclose(run(x.cuda()).cpu().numpy(), eager(x).numpy(), 1e-12)
    (replay,) = next(iter(run.programs.values()))
    assert [type(part).__name__ for part in replay.program.parts] == ["Graph", "Step", "Graph"]


@pytest.mark.skipif(fake_driver.missing is not None, reason=str(fake_driver.missing))
def test_without_the_extension_calls_are_repeated(cupy, monkeypatch):  # noqa: F811
    with fake_driver.installed(monkeypatch) as driver:
        fake_capture.install(monkeypatch, driver)
        monkeypatch.setenv("MINIGRAD_LAUNCHER", "cupy")
        gpu.forget()
        replay = check_training(mlp, OPTIMIZERS["Adam"], "cuda")
    assert {type(part).__name__ for part in replay.program.parts} == {"Step"}


def test_steps_on_two_devices_are_refused(device):
    here = mg.ones(2)

    def moves(x):
        return x + here.to(device)

    def mixes(x):
        y = here * 2
        return x * 2, y.detach()

    for step, text in ((moves, rf"\[to\] a tensor goes from cpu to {device}"), (mixes, rf"works on cpu and {device}")):
        run = mg.capture(step)
        with pytest.raises(RuntimeError, match=text):
            for _ in range(3):
                run(mg.ones(2, device=device))


def test_captured_steps_multiply_by_our_rungs(driver, monkeypatch):
    binding = fake_blas.install(monkeypatch, driver.capturing)
    a = mg.randn(4, 4, device="cuda")
    step = mg.capture(lambda x: x @ a)
    for _ in range(5):
        np.testing.assert_allclose(step(a).cpu().numpy(), (a.cpu() @ a.cpu()).numpy(), 1e-5, 1e-5)
    assert binding.calls == []
    a @ a
    assert len(binding.calls) == 1
    with pytest.raises(RuntimeError, match="during stream capture"), monkeypatch.context() as patch:
        patch.setattr("minigrad.cuda.blas.fits", lambda *_: True)  # the fault: as if it could be captured
        run = mg.capture(lambda x: x @ a)
        for _ in range(3):
            run(a)
