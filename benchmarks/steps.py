"""steps: whole training steps and forward passes beside PyTorch's, on the same data and the same first parameters.

Before anything is timed, the losses of the first steps (or the outputs) are held against each other. Where minigrad
can capture a step, there is a second row for it. Reading order: `training`, `inference`.
"""

import contextlib

import numpy as np

import minigrad as mg
from benchmarks import measure, rivals
from benchmarks.measure import contest
from benchmarks.workloads import INFERENCE, TRAINING, twins


def training(torch):
    for workload in TRAINING:
        yield from training_rows(workload, torch)


def training_rows(workload, torch):
    model, _ = twins(workload, None)
    arrays = workload.inputs(np.random.default_rng(0))
    by_hand = rivals.by_hand(model, arrays) if workload is TRAINING[0] else {}
    step = workload.step(mg, model, arrays)
    losses = [step().item() for _ in range(3)]
    calls = forms(workload, torch, arrays) if torch else {}
    for name, call in (calls | by_hand).items():
        check(f"{workload.name}, {name}", losses, [call().item() for _ in range(3)])
    theirs = {k: v for name, call in calls.items() for k, v in rivals.eager(torch, call, name).items()}
    if torch:
        twin = twins(workload, torch)[1]
        theirs |= rivals.compiled(torch, twin, lambda model: workload.step(torch, model, arrays))
    work = workload.work(sum(p.numel() for p in model.parameters()))
    ours = {"": step} | captured(workload.name, lambda *how: workload.step(mg, twins(workload, None)[0], arrays, *how))
    return contest("step", workload.name, ours, theirs | by_hand, "ms", work)


def forms(workload, torch, arrays):
    """PyTorch's step: the default, with the optimizer's fused form, and for pictures in the channels_last layout."""
    found = {"torch": workload.step(torch, twins(workload, torch)[1], arrays)}
    found["torch fused optimizer"] = workload.step(torch, twins(workload, torch)[1], arrays, fused=True)
    if arrays[0].ndim == 4:
        last = twins(workload, torch)[1].to(memory_format=torch.channels_last)
        x = torch.tensor(arrays[0]).to(memory_format=torch.channels_last)
        found["torch channels_last"] = workload.step(torch, last, (x, arrays[1]))
    return found


def inference(torch):
    for workload in INFERENCE:
        if not (workload.large and measure.effort.quick):
            yield from inference_rows(workload, torch)


def inference_rows(workload, torch):
    model, twin = twins(workload, torch)
    arrays = workload.inputs(np.random.default_rng(0))
    with mg.no_grad(), torch.inference_mode() if torch else contextlib.nullcontext():
        call = workload.call(mg, model, arrays)
        theirs = {}
        if torch:
            other = workload.call(torch, twin, arrays)
            check(workload.name, call().numpy(), other().numpy())
            theirs = rivals.eager(torch, other)
            theirs |= rivals.compiled(torch, twin, lambda model: workload.call(torch, model, arrays))
        ours = {"": call} | captured(workload.name, lambda *how: workload.call(mg, model, arrays, *how))
        work = workload.work(sum(p.numel() for p in model.parameters()))
        return contest("inference", workload.name, ours, theirs, "us" if "batch 1" in workload.name else "ms", work)


def captured(name, make):
    """Our contender that replays: what `make(mg.capture)` makes, once its results are those of what `make()` makes.

    Where minigrad cannot record it, the reason is printed, and there is no such contender.
    """
    plain, replayed = make(), make(mg.capture)
    try:
        results = [replayed().detach().cpu().numpy() for _ in range(8)]
    except RuntimeError as error:
        print(f"{name}: {error}")
        return {}
    check(f"{name}, captured", results, [plain().detach().cpu().numpy() for _ in range(8)])
    return {", captured": replayed}


def check(name, ours, theirs, scale=1e-30):
    """What is compared in time must compute the same, to a thousandth of the largest element (or of `scale`)."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    tolerance = 1e-3 * float(np.abs(theirs).max(initial=scale))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=tolerance, err_msg=f"{name}: minigrad against PyTorch")
