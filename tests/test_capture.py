"""capture: a replayed step gives what the step gives, bit for bit, and notices what has changed around it."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.backend import cpu
from minigrad.nn import functional as F
from minigrad.replay.program import plan
from minigrad.replay.trace import Buffer

pytestmark = pytest.mark.skipif(not cpu.kernels(), reason="the C++ extension is missing")
STEPS = 9


def mlp():
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 3))


def regular():
    return nn.Sequential(nn.Linear(12, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3))


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x.reshape(-1, 1, 3, 4)))), 2)
        return self.fc(x.flatten(1)[:, :4])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.norm, self.out = nn.Linear(4, 12), nn.LayerNorm(4), nn.Linear(12, 3)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x.reshape(-1, 3, 4))).chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out((x.reshape(-1, 3, 4) + y).flatten(1))


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.05),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, centered=True),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.01, lr_decay=0.1),
}


def batches(dtype=np.float32, n=6):
    rng = np.random.default_rng(0)
    return [
        (mg.tensor(rng.standard_normal((n, 12)).astype(dtype)), mg.tensor(rng.integers(0, 3, n))) for _ in range(STEPS)
    ]


def training(build, optimizer, captured, change=None, dtype=mg.float32, device="cpu"):
    """Losses, parameters and buffers after some steps; `change(model, optimizer, i)` runs before step i."""
    mg.manual_seed(0)
    model = build().to(dtype).to(device)
    opt = optimizer(model.parameters())
    scheduler = optim.lr_scheduler.ExponentialLR(opt, 0.9)

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    run, losses = mg.capture(step) if captured else step, []
    for i, (x, y) in enumerate(batches(dtype)):
        if change:
            change(model, opt, i)
        losses.append(run(x.to(device), y.to(device)))
        scheduler.step()
    state = {k: v.cpu().numpy() for k, v in model.state_dict().items()}
    grads = [None if p.grad is None else p.grad.cpu().numpy() for p in model.parameters()]
    return [x.item() for x in losses], state, grads, run


def check_training(build, optimizer, change=None, dtype=mg.float32):
    losses, state, grads, _ = training(build, optimizer, False, change, dtype)
    found, found_state, found_grads, run = training(build, optimizer, True, change, dtype)
    assert found == losses
    for name in state:
        np.testing.assert_array_equal(found_state[name], state[name], err_msg=name)
    for g, found in zip(grads, found_grads, strict=True):
        np.testing.assert_array_equal(found, g)
    return run


def replays(run):
    return sum(len(r) for r in run.programs.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_the_same(name):
    assert replays(check_training(mlp, OPTIMIZERS[name])) == 1


def test_clipped_gradients():
    w = [mg.randn(5, requires_grad=True) for _ in range(2)]
    v = [x.detach().clone().requires_grad_() for x in w]

    def steps(params):
        opt = optim.SGD(params, lr=0.1)

        def step(x):
            opt.zero_grad()
            (params[0] * x + params[1] * params[1]).sum().backward()
            norm = nn.utils.clip_grad_norm_(params, 0.5)
            opt.step()
            return norm

        return step

    captured, eager = mg.capture(steps(w)), steps(v)
    for _ in range(6):
        x = mg.randn(5)
        assert captured(x).item() == eager(x).item()
    assert replays(captured) == 1
    np.testing.assert_array_equal([x.tolist() for x in w], [x.tolist() for x in v])


@pytest.mark.parametrize("build", [regular, Images, Attention])
def test_layers(build):
    assert replays(check_training(build, OPTIMIZERS["Adam"])) == 1


def test_a_reshape_that_copies():
    step = mg.capture(lambda x: x.transpose(0, 1).reshape(-1) * 2)
    for i in range(5):
        assert step(mg.full((2, 3), i)).tolist() == [2 * i] * 6
    assert replays(step) == 1


def test_float64_runs_the_references():
    run = check_training(mlp, OPTIMIZERS["Adam"], dtype=mg.float64)
    (replay,) = run.programs[next(iter(run.programs))]
    assert not any(type(step) is int for step in replay.program.steps)


# What changes around a step ------------------------------------------------------------------------------------------


def replace_bias(model, opt, i):
    if i == 5:
        model[0].bias.data = mg.ones(16)


def load(model, opt, i):
    if i == 5:
        opt.load_state_dict(opt.state_dict())


def freeze(model, opt, i):
    model[0].weight.requires_grad_(i < 5)


def evaluate(model, opt, i):
    model.train(i not in (4, 6))


def weight_decay(model, opt, i):
    if i == 5:
        opt.param_groups[0]["weight_decay"] = 0.1


def reseed(model, opt, i):
    if i == 6:
        mg.manual_seed(3)


def stale_gradients(model, opt, i):
    for p in model.parameters():
        p.grad = None if i % 2 else mg.zeros_like(p)


@pytest.mark.parametrize("change", [replace_bias, load, freeze, evaluate, weight_decay, reseed, stale_gradients])
def test_what_changes_is_noticed(change):
    check_training(regular, OPTIMIZERS["Adam"], change)


def test_a_hook_that_is_added():
    seen, model, x = [], mlp(), mg.randn(2, 12)
    step = mg.capture(lambda x: model(x).detach())
    for _ in range(4):
        step(x)
    model[0].register_forward_hook(lambda *_: seen.append(1))
    with pytest.raises(RuntimeError, match=r"\[capture\] Linear has hooks"):
        for _ in range(3):
            step(x)
    assert seen


def test_other_shapes_and_arguments():
    model = mlp()

    @mg.capture
    def step(x, scale):
        with mg.no_grad():
            return model(x) * scale

    for _ in range(4):
        for n in (1, 5):
            for scale in (1.0, 2.0):
                x = mg.randn(n, 12)
                np.testing.assert_array_equal(step(x, scale).numpy(), (model(x) * scale).detach().numpy())
    assert replays(step) == 4


SCALE = 2.0


def test_numbers_from_outside(monkeypatch):
    step = mg.capture(lambda x: x * SCALE)
    for value in (2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0):
        monkeypatch.setitem(globals(), "SCALE", value)
        assert step(mg.ones(3)).tolist() == [value] * 3


def test_the_oldest_program_goes():
    step = mg.capture(lambda x: x + 1)
    for n in range(1, 13):
        for _ in range(3):
            assert step(mg.ones(n)).tolist() == [2.0] * n
    assert replays(step) == 8
    assert sorted(shape[0] for (_, (_, shape, *_)), found in step.programs.items() if found) == list(range(5, 13))


# Results and gradients -----------------------------------------------------------------------------------------------


def test_results_are_new_each_time():
    step = mg.capture(lambda x: {"twice": x + x, "rest": (x, None, [x * x, 7])})
    kept = []
    for i in range(6):
        x = mg.full((3,), float(i))
        found = step(x)
        assert found["rest"][0].data_ptr() == x.data_ptr() and found["rest"][2][1] == 7
        kept.append(found["twice"])
    assert [k.tolist()[0] for k in kept] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]


def test_gradients_that_add_up():
    w = mg.ones(3, requires_grad=True)

    @mg.capture
    def step(x):
        (w * x).sum().backward()

    for i in range(1, 8):
        step(mg.ones(3))
        assert w.grad.tolist() == [i] * 3
        if i == 5:
            w.grad = mg.full((3,), 5.0)


def test_writes_are_noticed_by_graphs_elsewhere():
    w = mg.ones(3, requires_grad=True)
    opt = optim.SGD([w], lr=0.1)

    @mg.capture
    def step(x):
        opt.zero_grad()
        (w * x).sum().backward()
        opt.step()

    for _ in range(4):
        step(mg.ones(3))
    y = (w * w).sum()
    step(mg.ones(3))
    with pytest.raises(RuntimeError, match=r"changed in place by \[capture\]"):
        y.backward()


def test_strided_arguments():
    step = mg.capture(lambda x: x.exp() + x.sum(0))
    for _ in range(4):
        for x in (mg.randn(4, 6).t(), mg.randn(6, 8)[:, ::2], mg.tensor(np.ones((6, 4), np.float32)[::-1])):
            np.testing.assert_array_equal(step(x).numpy(), (x.exp() + x.sum(0)).numpy())


# What cannot be replayed ---------------------------------------------------------------------------------------------

NUMBERS, WEIGHT = iter(range(99)), mg.ones(3, requires_grad=True)
FAULTS = {
    "reads a value": (lambda x: x * x.sum().item(), r"\[item\] would read a value"),
    "branches on a value": (lambda x: x if x.sum() > 0 else -x, r"\[item\] would read a value"),
    "goes to numpy": (lambda x: mg.tensor(x.numpy() * 2), r"\[numpy\] would give out"),
    "computes with the raw array": (lambda x: x + mg.from_numpy(x.array * 2), "then an array of shape"),
    "returns what numpy made": (lambda x: mg.from_numpy(x.array * 2), "memory that is no part of the step"),
    "writes into its argument": (lambda x: x.add_(mg.ones(3)), "writes into an argument"),
    "returns a part": (lambda x: x[1:], "a part of one of its arguments"),
    "is never the same": (lambda x: x * float(next(NUMBERS)), "does not repeat itself.*mul_forward was"),
    "returns its graph": (lambda x: x * WEIGHT, "graph is still there"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_raises_with_the_reason(fault):
    function, text = FAULTS[fault]
    step = mg.capture(function)
    with pytest.raises((RuntimeError, ValueError), match=text):
        for _ in range(12):
            step(mg.ones(3))
    assert mg.ones(3).sum().item() == 3  # nothing is recorded any more


def test_arguments_that_cannot_be_compared():
    with pytest.raises(TypeError, match=r"\[capture\] an argument is a set"):
        mg.capture(lambda x: None)({1})
    with pytest.raises(TypeError, match=r"\[capture\] expected a function, found int"):
        mg.capture(1)


# The program ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4096, 4097, 50_000])
def test_joined_calls(n):
    """Neighbours that work by element go over the arrays together; a sum between them parts them."""

    def chain(x, y):
        a = (x * y + x).relu() - 0.5
        return a, (a.exp() * y + a.sum()).tanh()

    x, y = mg.randn(n), mg.randn(n)
    step = mg.capture(chain)
    for threads in (1, 2, 4):
        mg.set_num_threads(threads)
        for _ in range(4):
            for found, expected in zip(step(x, y), chain(x, y), strict=True):
                np.testing.assert_array_equal(found.numpy(), expected.numpy())
    mg.set_num_threads(2)
    (replay,) = next(iter(step.programs.values()))
    sizes = [len(group) for group in replay.program.native.groups()]
    assert sizes == ([6, 1, 2] if n > 4096 else [1] * 9)


def test_memory_is_shared_by_lifetime():
    rng = np.random.default_rng(0)
    buffers = []
    for i in range(60):
        first = int(rng.integers(0, 50))
        b = Buffer("made", i, (0, int(rng.integers(1, 5000))), None, first)
        b.last = first + int(rng.integers(0, 12))
        buffers.append(b)
    offsets, end = plan(buffers, [])
    for i, a in enumerate(buffers):
        assert offsets[a] % 64 == 0 and offsets[a] + a.nbytes <= end
        for b in buffers[:i]:
            if a.first <= b.last and b.first <= a.last:
                x, y = offsets[a], offsets[b]
                assert x + a.nbytes <= y or y + b.nbytes <= x
    assert end < 0.6 * sum(b.nbytes for b in buffers)


def test_a_program_that_is_wrong_is_not_trusted(monkeypatch):
    """A planted fault in the memory plan: all buffers at one place."""
    monkeypatch.setattr("minigrad.replay.program.plan", lambda shared, lasting: (dict.fromkeys(shared, 0), 1 << 20))
    step = mg.capture(lambda x: (x + 1) * (x * 2) + (x - 1))
    with pytest.raises(RuntimeError, match="gives other results"):
        for _ in range(3):
            step(mg.arange(5.0))


def test_errors_of_kernels_come_through():
    weight = mg.randn(4, 2)
    step = mg.capture(lambda i: F.embedding(i, weight))
    for _ in range(4):
        step(mg.tensor([0, 1]))
    with pytest.raises(IndexError, match="embedding"):
        step(mg.tensor([0, 9]))


def test_captured_inside_of_captured():
    inner = mg.capture(lambda x: x * 2)
    outer = mg.capture(lambda x: inner(x) + 1)
    for i in range(5):
        assert outer(mg.full((2,), float(i))).tolist() == [2 * i + 1] * 2
