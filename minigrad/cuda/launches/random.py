"""random: four elements for each thread."""

import math

from minigrad.cuda.launches import Launch, blocks_for, launches

THREADS = 256


def grid_for(n):
    return blocks_for(n, THREADS, 4)


@launches
def uniform_fill(y, seed, offset):
    yield Launch("uniform_fill", grid_for(y.size), THREADS, (y, seed, offset, y.size))


@launches
def normal_fill(y, seed, offset):
    yield Launch("normal_fill", grid_for(y.size), THREADS, (y, seed, offset, y.size))


def dropped(y, x, p, seed, offset):
    scale = 1 / (1 - p) if p < 1 else math.inf
    args = (y, x, scale, math.ceil(p * 2**24), seed, offset, y.size)
    yield Launch("dropout_forward", grid_for(y.size), THREADS, args)


@launches
def dropout_forward(y, x, p, seed, offset):
    return dropped(y, x, p, seed, offset)


@launches
def dropout_backward(dx, dy, p, seed, offset):
    return dropped(dx, dy, p, seed, offset)
