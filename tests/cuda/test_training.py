"""Whole nets trained on the simulator come to the CPU's losses, and run on our kernels: an MLP on images of MNIST, a
small convolutional net, and a Transformer of two layers that learns a sentence by heart."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.backend.devices import kernels
from minigrad.backend.simulated import SimArray
from minigrad.kernel import Kernel
from minigrad.nn import functional as F
from minigrad.vision import datasets

MNIST = Path(__file__).parents[2] / "examples" / "data" / "mnist"
PATTERNS = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)  # one for each class
SENTENCE = "a thread reads what another has written: only a barrier says when. "
TOKENS = np.array([sorted(set(SENTENCE)).index(letter) for letter in SENTENCE])
CONTEXT = 16


@cache
def digits():
    return datasets.MNIST(MNIST, train=False).__getbatch__(range(400))


def batch_of_digits(step, n=25):
    images, targets = digits()
    chosen = slice(n * step % 400, n * step % 400 + n)
    return mg.tensor(np.asarray(images[chosen], np.float32) / 255), mg.tensor(np.asarray(targets[chosen], np.int64))


def batch_of_patterns(step, n=16):
    rng = np.random.default_rng(step)
    targets = rng.integers(0, 4, n)
    images = PATTERNS[targets] + 0.3 * rng.normal(size=(n, 1, 8, 8)).astype(np.float32)
    return mg.tensor(images, dtype=mg.float32), mg.tensor(targets)


def batch_of_letters(step, n=4):
    """Pieces of the sentence, and what follows each of their letters."""
    at = np.random.default_rng(step).integers(0, len(TOKENS), (n, 1)) + np.arange(CONTEXT + 1)
    pieces = TOKENS[at % len(TOKENS)]
    return mg.tensor(pieces[:, :-1]), mg.tensor(pieces[:, 1:].reshape(-1))


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def cnn():
    convolution = [nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.GELU(), nn.MaxPool2d(2)]
    return nn.Sequential(*convolution, nn.Flatten(), nn.Dropout(0.2), nn.LayerNorm(64), nn.Linear(64, 4))


class Layer(nn.Module):
    """Causal attention of two heads and a net with silu, each on what a norm gives, added to what came in."""

    def __init__(self, d):
        super().__init__()
        self.qkv, self.out, self.norm1, self.norm2 = (
            nn.Linear(d, 3 * d),
            nn.Linear(d, d),
            nn.LayerNorm(d),
            nn.RMSNorm(d),
        )
        self.feed = nn.Sequential(nn.Linear(d, 2 * d), nn.SiLU(), nn.Linear(2 * d, d))

    def forward(self, x):
        batch, tokens, d = x.shape
        q, k, v = (part.view(batch, tokens, 2, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, d))
        return x + self.feed(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self, d=32):
        super().__init__()
        letters = int(TOKENS.max()) + 1
        self.words, self.places = nn.Embedding(letters, d), nn.Parameter(0.1 * mg.randn(CONTEXT, d))
        self.layers, self.head = nn.Sequential(Layer(d), Layer(d), nn.Dropout(0.05)), nn.Linear(d, letters)

    def forward(self, tokens):
        return self.head(self.layers(self.words(tokens) + self.places)).flatten(0, 1)


NETS = [  # net, what it learns, optimizer, clipped to this norm, steps, and to what part of the first the loss falls
    (mlp, batch_of_digits, lambda p: mg.optim.SGD(p, lr=0.05, momentum=0.9), None, 40, 0.5),
    (cnn, batch_of_patterns, lambda p: mg.optim.AdamW(p, lr=0.02), None, 6, 0.7),
    (Transformer, batch_of_letters, lambda p: mg.optim.AdamW(p, lr=0.01, weight_decay=0.01), 1.0, 16, 0.75),
]


def train(device, net, batch, make, clip, steps):
    mg.manual_seed(0)
    model = net().to(device)
    optimizer, losses = make(model.parameters()), []
    for step in range(steps):
        inputs, targets = (t.to(device) for t in batch(step))
        loss = F.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("row", NETS, ids=["mlp", "cnn", "transformer"])
def test_losses_there_are_those_here(row):
    *what, steps, part = row
    here, there = (train(device, *what, steps) for device in ("cpu", "cuda-sim"))
    np.testing.assert_allclose(there, here, 2e-3)
    assert np.mean(there[-3:]) < part * there[0]


CONVOLUTIONS = {"conv2d_forward", "max_pool2d_backward", "adam_step", "cross_entropy_backward"}
ATTENTION = {"attention_backward", "embedding_backward", "rms_norm_backward", "dropout_backward", "clip_norm"}


@pytest.mark.parametrize("row, some", [(NETS[1], CONVOLUTIONS), (NETS[2], ATTENTION)], ids=["cnn", "transformer"])
def test_a_training_step_runs_on_cuda_kernels(row, some, monkeypatch):
    ran, call = set(), Kernel.__call__
    monkeypatch.setattr(Kernel, "__call__", lambda kernel, *args: (ran.add(kernel.name), call(kernel, *args))[1])
    train("cuda-sim", *row[:4], 1)
    monkeypatch.undo()
    assert ran >= some
    assert ran - set(kernels(SimArray)) == set(), "kernels that the step needs and that have no CUDA body"
