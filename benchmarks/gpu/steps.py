"""steps: whole training steps, with and without capture, beside PyTorch's eager ones, by the clock; and the small nets
that only starting kernels bounds. The losses of the first steps are held against each other before anything is timed.
"""

from dataclasses import replace

import numpy as np

import minigrad as mg
from benchmarks import models, steps, workloads
from benchmarks.workloads import TRAINING, Product, Workload, pictures, texts, transformer, twins


def small_net(fw):
    nn = fw.nn
    return nn.Sequential(nn.Linear(10, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 10))


TINY = [Product(32, 10, 50), Product(32, 50, 50), Product(32, 50, 10)]
SMALL = [
    Workload(f"small net 10-50-50-10, batch 32, {name}", small_net, pictures(32, 10), TINY, name, (("lr", 0.01),))
    for name in ("SGD", "Adam")
]
LEAST = Workload("GPT of a smoke test", lambda fw: models.gpt(fw, 1, 8, 2, 10, 4), texts(1, 4, 10), TINY)
LARGE = [
    replace(TRAINING[1], name="MLP 784-256-128-10, batch 4096, Adam", inputs=pictures(4096, 784),
            products=[replace(p, rows=4096) for p in workloads.MLP]),
    replace(TRAINING[2], name="ConvNet of MNIST, batch 1024, Adam", inputs=pictures(1024, 1, 28, 28),
            products=[workloads.convolution(1024, 1, 32, 26), Product(1024, 5408, 128), Product(1024, 128, 10)]),
    replace(TRAINING[3], name="3 blocks conv-norm-relu-pool, 512x3x32x32, SGD", inputs=pictures(512, 3, 32, 32),
            products=[replace(p, rows=8 * p.rows, inputs=8 * p.inputs) for p in workloads.BLOCKS]),
    Workload("GPT, 12 layers, d 768, 8x512, AdamW", lambda fw: models.gpt(fw, 12, 768, 12, 50257, 512),
             texts(8, 512, 50257),
             [*transformer(8, 512, 768, 12, causal=True), Product(8 * 512, 768, 50257)], "AdamW"),
]  # fmt: skip


def all_workloads(place):
    return [*SMALL, *TRAINING, *LARGE] if place.real else [SMALL[0], LEAST]


def rows(place, torch, names=()):
    for workload in all_workloads(place):
        if not names or any(name in workload.name for name in names):
            yield from workload_rows(workload, place, torch)


def workload_rows(workload, place, torch):
    ours = {"": made(workload, place, mg)}
    ours |= captured(workload, place)
    theirs = {}
    if torch and place.real:
        theirs["torch, eager"] = made(workload, place, torch)
        theirs["torch fused optimizer"] = made(workload, place, torch, fused=True)
        losses = [ours[""]().item() for _ in range(3)]
        for name, step in theirs.items():
            steps.check(f"{workload.name}, {name}", losses, [step().item() for _ in range(3)])
    model, _ = twins(workload, None)
    work = workload.work(sum(p.numel() for p in model.parameters()))
    yield from place.contest("step", workload.name, ours, theirs, "ms", work, clock=True)


def captured(workload, place):
    """The step that replays, if it can; whatever keeps it from that must not keep the plain one from being timed."""
    try:
        return steps.captured(workload.name, lambda *how: made(workload, place, mg, *how))
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        print(f"{workload.name}, captured: FAILED, {type(error).__name__}: {error}"[:500], flush=True)
        return {}


def made(workload, place, fw, *how, **options):
    """The step in one framework on the device, its own model with the same first parameters."""
    model = twins(workload, None if fw is mg else fw)[0 if fw is mg else 1].to(place.name)
    arrays = workload.inputs(np.random.default_rng(0))
    there = [fw.as_tensor(a).to(place.name) for a in arrays]
    return workload.step(fw, model, there, *how, **options)
