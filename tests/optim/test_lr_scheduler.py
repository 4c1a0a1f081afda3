"""Schedules over 100 steps: against PyTorch, and against closed formulas."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from minigrad.optim import lr_scheduler

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")

SCHEDULES = [
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (1 + epoch), lambda epoch: epoch]}),
    ("ExponentialLR", {"gamma": 0.97}),
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 30, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [30, 80]}),
    ("MultiStepLR", {"milestones": [5, 5, 60], "gamma": 0.3}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.7, "total_iters": 40}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 40}),
    ("CosineAnnealingLR", {"T_max": 30}),
    ("CosineAnnealingLR", {"T_max": 100, "eta_min": 0.001}),
    ("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.01}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.2}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 100}),
    ("OneCycleLR", {"max_lr": [0.3, 0.7], "epochs": 10, "steps_per_epoch": 11, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 123, "three_phase": True, "pct_start": 0.4, "div_factor": 10.0}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 100, "cycle_momentum": False, "final_div_factor": 2.0}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 100, "base_momentum": [0.1, 0.2], "max_momentum": 0.99}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 100, "pct_start": 0.0}),
]
OPTIMIZERS = [("SGD", {"momentum": 0.9}), ("Adam", {})]


def optimizer_of(library, name, options):
    one, two = (library.zeros(1, requires_grad=True) for _ in range(2))
    return getattr(library.optim, name)([{"params": [one]}, {"params": [two], "lr": 0.01}], lr=0.1, **options)


def numbers(group):
    return [group["lr"], group.get("momentum", 0), *group.get("betas", ())]


def run(library, make, name="SGD", options=OPTIMIZERS[0][1], steps=100, values=None):
    """What the groups of an optimizer hold at every step."""
    optimizer = optimizer_of(library, name, options)
    scheduler = make(library.optim.lr_scheduler, optimizer)
    rows = [[numbers(group) for group in optimizer.param_groups]]
    for i in range(steps):
        optimizer.step()
        scheduler.step(*(values[i : i + 1] if values is not None else ()))
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        rows.append([numbers(group) for group in optimizer.param_groups])
    return np.array(rows, dtype=np.float64)


@needs_torch
@pytest.mark.parametrize(("optimizer", "settings"), OPTIMIZERS)
@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedule_is_pytorchs(name, options, optimizer, settings):
    def make(module, wrapped):
        return getattr(module, name)(wrapped, **options)

    found, expected = (run(library, make, optimizer, settings) for library in (mg, torch))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def cosine(epoch, T_max=30, eta_min=0.0):
    return eta_min + (0.1 - eta_min) * (1 + math.cos(math.pi * epoch / T_max)) / 2


def one_cycle(step, total=100, top=0.3):
    rise, bottom = 0.3 * total - 1, top / 25
    start, end, part = bottom, top, step / rise
    if step > rise:
        start, end, part = top, bottom / 1e4, (step - rise) / (total - 1 - rise)
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


CLOSED = [
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}, lambda epoch: 0.1 * 0.95**epoch),
    ("ExponentialLR", {"gamma": 0.97}, lambda epoch: 0.1 * 0.97**epoch),
    ("StepLR", {"step_size": 7}, lambda epoch: 0.1 * 0.1 ** (epoch // 7)),
    ("MultiStepLR", {"milestones": [30, 80]}, lambda epoch: 0.1 * 0.1 ** ((epoch >= 30) + (epoch >= 80))),
    ("LinearLR", {}, lambda epoch: 0.1 * (1 / 3 + 2 / 3 * min(epoch, 5) / 5)),
    ("CosineAnnealingLR", {"T_max": 30}, cosine),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.02}, lambda epoch: cosine(epoch, 7, 0.02)),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 100}, one_cycle),
]


@pytest.mark.parametrize(("name", "options", "formula"), CLOSED)
def test_schedule_follows_its_formula(name, options, formula):
    rows = run(mg, lambda module, wrapped: getattr(module, name)(wrapped, **options), steps=99)
    np.testing.assert_allclose(rows[:, 0, 0], [formula(epoch) for epoch in range(100)], rtol=1e-9, atol=1e-12)


PLATEAUS = [
    {},
    {"mode": "max", "factor": 0.5, "patience": 2},
    {"patience": 0, "threshold": 0.1, "threshold_mode": "abs", "cooldown": 3},
    {"patience": 1, "mode": "max", "threshold": 0.05, "threshold_mode": "abs", "min_lr": [0.02, 0.001]},
    {"patience": 1, "factor": 0.5, "min_lr": 0.004, "eps": 1e-3},
]


@needs_torch
@pytest.mark.parametrize("options", PLATEAUS)
def test_plateau_is_pytorchs(options):
    rng = np.random.default_rng(0)
    losses = np.concatenate([np.exp(-np.arange(30) / 10), 0.05 * rng.uniform(0.5, 2, 60), [math.nan] * 5, [0.0] * 5])
    make = lambda module, wrapped: module.ReduceLROnPlateau(wrapped, **options)  # noqa: E731
    found, expected = (run(library, make, values=losses.tolist()) for library in (mg, torch))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_plateau_by_hand():
    optimizer = optimizer_of(mg, "SGD", {})
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2, factor=0.5, cooldown=1)
    found = []
    for loss in (1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9):
        scheduler.step(mg.tensor(loss))
        found.append(optimizer.param_groups[0]["lr"])
    assert found == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025]


def sequence(module, wrapped):
    parts = [
        module.LinearLR(wrapped, start_factor=0.25, total_iters=10),
        module.StepLR(wrapped, step_size=5, gamma=0.5),
        module.CosineAnnealingLR(wrapped, T_max=20),
    ]
    return module.SequentialLR(wrapped, parts, milestones=[10, 40])


@needs_torch
def test_sequence_is_pytorchs():
    found, expected = (run(library, sequence) for library in (mg, torch))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@needs_torch
@pytest.mark.parametrize(("name", "options"), [row for row in SCHEDULES if row[0] != "OneCycleLR"])
def test_two_schedulers_multiply_as_pytorchs_do(name, options):
    def both(library):
        optimizer = optimizer_of(library, "SGD", {})
        module = library.optim.lr_scheduler
        schedulers = [getattr(module, name)(optimizer, **options), module.ExponentialLR(optimizer, 0.9)]
        rows = []
        for _ in range(20):
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
            rows.append([group["lr"] for group in optimizer.param_groups])
        return rows

    np.testing.assert_allclose(both(mg), both(torch), rtol=1e-12)


def build(name, options, optimizer):
    make = sequence if name == "SequentialLR" else getattr(lr_scheduler, name)
    return make(lr_scheduler, optimizer) if make is sequence else make(optimizer, **options)


@pytest.mark.parametrize(("name", "options"), [*SCHEDULES, ("SequentialLR", {})])
def test_state_dict_takes_a_schedule_up_again(name, options):
    optimizer = optimizer_of(mg, "SGD", {"momentum": 0.9})
    scheduler = build(name, options, optimizer)
    for _ in range(37):
        scheduler.step()
    other = optimizer_of(mg, "SGD", {"momentum": 0.9})
    resumed = build(name, options, other)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(20):
        scheduler.step()
        resumed.step()
        assert [numbers(g) for g in optimizer.param_groups] == [numbers(g) for g in other.param_groups]


@needs_torch
@pytest.mark.parametrize(("name", "options"), [row for row in SCHEDULES if row[0] != "OneCycleLR"])
def test_going_on_from_a_last_epoch(name, options):
    def resumed(library):
        optimizer = optimizer_of(library, "SGD", {})
        first = getattr(library.optim.lr_scheduler, name)(optimizer, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, that no optimizer.step() was called
            for _ in range(4):
                first.step()
            second = getattr(library.optim.lr_scheduler, name)(optimizer, **options, last_epoch=3)
            second.step()
        return second.get_last_lr()

    np.testing.assert_allclose(resumed(mg), resumed(torch), rtol=1e-12)


def sgd(**options):
    return optim.SGD([mg.zeros(1, requires_grad=True)], **options)


REFUSED = [
    (lambda: lr_scheduler.StepLR("sgd", 1), TypeError, "found str, an Optimizer was expected"),
    (lambda: lr_scheduler.StepLR(sgd(), 1, last_epoch=3), KeyError, "initial_lr"),
    (lambda: lr_scheduler.LambdaLR(sgd(), [abs, abs]), ValueError, "2 entries, one for each of the 1 groups"),
    (lambda: lr_scheduler.LinearLR(sgd(), start_factor=0), ValueError, "0 < start_factor"),
    (lambda: lr_scheduler.LinearLR(sgd(), end_factor=2), ValueError, "end_factor <= 1"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0), ValueError, "epochs is None"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, epochs=2), ValueError, "steps_per_epoch is None"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, total_steps=0), ValueError, "total_steps is 0"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, total_steps=2.5), ValueError, "total_steps is 2.5"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, total_steps=9, pct_start=1.5), ValueError, "pct_start is 1.5"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, total_steps=9, anneal_strategy="x"), ValueError, "'cos' or 'linear'"),
    (lambda: lr_scheduler.OneCycleLR(sgd(), [1.0, 2.0], total_steps=9), ValueError, "max_lr has 2 entries"),
    (
        lambda: lr_scheduler.OneCycleLR(optim.Adagrad([mg.zeros(1, requires_grad=True)]), 1.0, total_steps=9),
        ValueError,
        "Adagrad has no momentum to cycle",
    ),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), mode="least"), ValueError, "mode is 'least'"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "factor is 1.0"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), threshold_mode="x"), ValueError, "threshold_mode is 'x'"),
    (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), min_lr=[0, 0]), ValueError, "min_lr has 2 entries"),
    (lambda: lr_scheduler.SequentialLR(sgd(), [], []), ValueError, "0 schedulers and 0 milestones"),
    (lambda: lr_scheduler.SequentialLR(sgd(), [lr_scheduler.StepLR(sgd(), 1)], []), ValueError, "another optimizer"),
    (
        lambda: lr_scheduler.SequentialLR(sgd(), [lr_scheduler.ReduceLROnPlateau(sgd())], []),
        TypeError,
        "scheduler 0 is ReduceLROnPlateau",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_cycle_ends():
    scheduler = lr_scheduler.OneCycleLR(sgd(momentum=0.9), 1.0, total_steps=3)
    for _ in range(3):
        scheduler.step()
    with pytest.raises(ValueError, match="step 4 is beyond the end, total_steps is 3"):
        scheduler.step()


def test_a_scheduler_leaves_the_optimizer_and_functions_out_of_its_state():
    scheduler = lr_scheduler.LambdaLR(sgd(), lambda epoch: 1.0)
    assert set(scheduler.state_dict()) == {"base_lrs", "last_epoch", "_last_lr"}


factor = st.floats(0.05, 1.0)
DRAWN = {
    "ExponentialLR": {"gamma": st.floats(0.5, 1.2)},
    "StepLR": {"step_size": st.integers(1, 12), "gamma": factor},
    "MultiStepLR": {"milestones": st.lists(st.integers(0, 30), max_size=5), "gamma": factor},
    "LinearLR": {"start_factor": factor, "end_factor": factor, "total_iters": st.integers(1, 30)},
    "CosineAnnealingLR": {"T_max": st.integers(1, 20), "eta_min": st.floats(0, 0.05)},
    "OneCycleLR": {"max_lr": factor, "total_steps": st.integers(31, 90), "three_phase": st.booleans()},
}


@needs_torch
@pytest.mark.parametrize("name", DRAWN)
@given(data=st.data())
def test_any_options_give_pytorchs_schedule(name, data):
    options = data.draw(st.fixed_dictionaries(DRAWN[name]))

    def make(module, wrapped):
        return getattr(module, name)(wrapped, **options)

    found, expected = (run(library, make, steps=30) for library in (mg, torch))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
