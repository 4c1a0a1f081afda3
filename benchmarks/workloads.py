"""workloads: which networks are timed, on what, and what each must do at least.

A `Product` is one matrix product of the forward pass (a convolution is one too). From the list of them follow

    operations    two for each multiply-add, forward and in both gradients; nobody needs the gradient of the data
    bytes         inputs of the products: written once, read again by the backward pass, and so are their gradients;
                  parameters: gradient written, parameter and averages read and written

and nothing for what can be fused away, so that no program can do with less.

Reading order: `Product`, `Workload`, `TRAINING`; `Inference`, `INFERENCE`; `twins`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np

from benchmarks import models


@dataclass(frozen=True)
class Product:
    """(rows, k) times (k, n), `times` times over; `inputs` elements are read where that is not rows k."""

    rows: int
    k: int
    n: int
    times: int = 1
    inputs: float = nan
    weight: bool = True  # whether the (k, n) matrix is a parameter

    @property
    def flops(self):
        return 2 * self.times * self.rows * self.k * self.n

    @property
    def read(self):
        return self.times * (self.rows * self.k if self.inputs != self.inputs else self.inputs)


def convolution(batch, before, after, size):
    """A 3x3 convolution that gives size x size."""
    return Product(batch * size * size, 9 * before, after, inputs=batch * before * size * size)


def transformer(batch, length, d, layers, causal):
    """The products of layers with hidden size 4 d; of causal scores half are needed."""
    tokens, pairs = batch * length, batch * length // (2 if causal else 1)
    dense = [Product(tokens, d, n, layers) for n in (3 * d, d, 4 * d)] + [Product(tokens, 4 * d, d, layers)]
    return [*dense, Product(pairs, d, length, 2 * layers, inputs=tokens * d, weight=False)]


def plainly(function):
    """What `minigrad.capture` is put in the place of: the function itself."""
    return function


@dataclass(frozen=True)
class Workload:
    """A training step: forward, loss, backward, optimizer. `inputs` makes arrays, `loss` a scalar of them."""

    name: str
    build: Callable
    inputs: Callable
    products: list
    optimizer: str = "Adam"
    options: tuple = (("lr", 1e-3),)

    def work(self, parameters):
        """What the step must do at least, given the number of parameters."""
        from benchmarks.ceilings import step_work

        first = self.products[0]
        flops = 3 * sum(p.flops for p in self.products) - first.flops
        averages = 2 if "Adam" in self.optimizer else 1
        moved = sum(4 * p.read for p in self.products) - 2 * first.read + parameters * (3 + 2 * averages)
        return step_work(flops, 4 * moved)

    def step(self, fw, model, arrays, capture=plainly, **options):
        """The step as a function without arguments; it returns the loss. `options` are more ones of the optimizer."""
        optimizer = getattr(fw.optim, self.optimizer)(model.parameters(), **dict(self.options), **options)
        x, target = (fw.as_tensor(a) for a in arrays)

        @capture
        def step(x, target):
            optimizer.zero_grad()
            y = model(x)
            loss = fw.nn.functional.cross_entropy(y.view(-1, y.shape[-1]), target)
            loss.backward()
            optimizer.step()
            return loss

        return lambda: step(x, target)


def pictures(*shape):
    return lambda rng: (rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, shape[0]))


def texts(batch, length, vocabulary):
    return lambda rng: (rng.integers(0, vocabulary, (batch, length)), rng.integers(0, vocabulary, batch * length))


MLP = [Product(64, 784, 256), Product(64, 256, 128), Product(64, 128, 10)]
CONVNET = [convolution(64, 1, 32, 26), Product(64, 5408, 128), Product(64, 128, 10)]
BLOCKS = [convolution(64, 3, 32, 32), convolution(64, 32, 64, 16), convolution(64, 64, 128, 8), Product(64, 2048, 10)]
SGD = ("SGD", (("lr", 0.01), ("momentum", 0.9)))
TRAINING = [
    Workload("MLP 784-256-128-10, batch 64, SGD", models.mlp, pictures(64, 784), MLP, *SGD),
    Workload("MLP 784-256-128-10, batch 64, Adam", models.mlp, pictures(64, 784), MLP),
    Workload("ConvNet of MNIST, batch 64, Adam", models.convnet, pictures(64, 1, 28, 28), CONVNET),
    Workload("3 blocks conv-norm-relu-pool, 64x3x32x32, SGD", models.blocks, pictures(64, 3, 32, 32), BLOCKS, *SGD),
    Workload(
        "Transformer encoder, 4 layers, d 256, 8x128, Adam",
        models.encoder,
        pictures(8, 128, 256),
        [*transformer(8, 128, 256, 4, causal=False), Product(8, 256, 10)],
    ),
    Workload(
        "GPT, 4 layers, d 192, 16x128, AdamW",
        models.gpt,
        texts(16, 128, 1000),
        [*transformer(16, 128, 192, 4, causal=True), Product(16 * 128, 192, 1000)],
        "AdamW",
    ),
]


# Inference -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inference:
    """A forward pass without gradients: `call(fw, model, arrays, capture)` gives it as a function without arguments."""

    name: str
    build: Callable
    inputs: Callable
    call: Callable
    products: list
    large: bool = False

    def work(self, parameters):
        """What the pass must do at least; of the parameters those of the products are read."""
        from benchmarks.ceilings import step_work

        read = sum(2 * p.read for p in self.products) + sum(p.times * p.k * p.n for p in self.products if p.weight)
        return step_work(sum(p.flops for p in self.products), 4 * read)


def forward(fw, model, arrays, capture=plainly):
    x, run = fw.tensor(*arrays), capture(lambda x: model(x))
    return lambda: run(x)


def prefill(fw, model, arrays, capture=plainly):
    """A prompt into an empty cache; the logits of the next token."""
    x, cache = fw.tensor(*arrays), models.new_cache(fw)
    run = capture(lambda x: model(x, cache))
    return lambda: run(x)


def decode(fw, model, arrays, capture=plainly):
    """One more token after the prompt, always at the same place."""
    x, cache = fw.tensor(*arrays), models.new_cache(fw)
    start = x.shape[1] - 1
    model(x[:, :start], cache)
    last, run = x[:, start:], capture(lambda x: model(x, cache, start))
    return lambda: run(last)


def gpt2(fw):
    """124 million parameters."""
    return models.gpt(fw, 12, 768, 12, 50257, 1024)


def tokens(batch, length, vocabulary):
    return lambda rng: (rng.integers(0, vocabulary, (batch, length)),)


INFERENCE = [
    Inference(
        "MLP 784-256-128-10, batch 1",
        models.mlp,
        lambda rng: (rng.standard_normal((1, 784)).astype(np.float32),),
        forward,
        [Product(1, p.k, p.n) for p in MLP],
    ),
    Inference(
        "MiniLM's shape, 6 layers, d 384, 32x128",
        models.sentences,
        tokens(32, 128, 30522),
        forward,
        transformer(32, 128, 384, 6, causal=False),
        large=True,
    ),
    Inference(
        "GPT-2 124M's shape, prefill of 128",
        gpt2,
        tokens(1, 128, 50257),
        prefill,
        [*transformer(1, 128, 768, 12, causal=True), Product(1, 768, 50257)],
        large=True,
    ),
    Inference(
        "GPT-2 124M's shape, decode at 128",
        gpt2,
        tokens(1, 129, 50257),
        decode,
        [
            *[p for p in transformer(1, 1, 768, 12, causal=False) if p.weight],
            Product(1, 768, 129, 24, inputs=129 * 768, weight=False),
            Product(1, 768, 50257),
        ],
        large=True,
    ),
]


def twins(workload, torch):
    """The same model in both frameworks, with equal parameters; None for torch where it is not installed."""
    import minigrad as mg

    mg.manual_seed(0)
    ours = workload.build(mg)
    if torch is None:
        return ours, None
    theirs = workload.build(torch)
    theirs.load_state_dict({name: torch.tensor(value.numpy()) for name, value in ours.state_dict().items()})
    return ours, theirs
