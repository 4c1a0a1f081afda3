"""What the entries share: float64 tensors, layers with given weights, optimizer paths, and a bare LSTM.

The framework does the arithmetic; the functions here only set it up. float64 throughout, unless only sizes are wanted.
"""

import itertools
from collections.abc import Callable

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim


def real(values) -> mg.Tensor:
    return mg.tensor(values, dtype=mg.float64)


def leaf(values) -> mg.Tensor:
    return mg.tensor(values, dtype=mg.float64, requires_grad=True)


def gradient(y: mg.Tensor, *xs: mg.Tensor):
    """d sum(y) / dx for each x, by autograd; a single Tensor for a single x."""
    grads = mg.autograd.grad(y.sum(), xs, retain_graph=True)
    return grads[0] if len(xs) == 1 else grads


def linear(weight, bias=None) -> nn.Linear:
    """nn.Linear in float64 with these weights: one row of `weight` for each unit."""
    rows, columns = len(weight), len(weight[0])
    layer = nn.Linear(columns, rows, bias=bias is not None).to(mg.float64)
    state = {"weight": real(weight)} | ({} if bias is None else {"bias": real(bias)})
    layer.load_state_dict(state)
    return layer


def half_squared_error(y_hat: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
    return 0.5 * F.mse_loss(y_hat, y, reduction="sum")


def descend(start, slope, make: Callable, steps: int = 1) -> list:
    """The parameter after each step of the optimizer `make([parameter])`, its gradient being `slope` throughout."""
    parameter, path = leaf(start), []
    optimizer = make([parameter])
    for _ in range(steps):
        optimizer.zero_grad()
        (parameter * real(slope)).sum().backward()
        optimizer.step()
        path.append(parameter.tolist())
    return path


def sgd_step(start, slope, lr: float, **options):
    """The parameter after one step of gradient descent."""
    return descend(start, slope, lambda parameters: optim.SGD(parameters, lr=lr, **options))[0]


def count(*modules: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def dense_layers(widths: list[int]) -> list[nn.Linear]:
    return [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]


def uniform_loss(classes: int) -> mg.Tensor:
    """Cross entropy of a prediction that gives every class the same probability."""
    return F.cross_entropy(mg.zeros(1, classes, dtype=mg.float64), mg.tensor([0]))


def batch_shape(x: mg.Tensor) -> str:
    """The shape as text, the first axis being the batch."""
    return "(" + ",".join(["B", *map(str, x.shape[1:])]) + ")"


def lstm_gates(inputs: int, hidden: int) -> nn.Linear:
    """The four gates of an LSTM layer as one Linear on [x, h]: one bias vector for each gate."""
    return nn.Linear(inputs + hidden, 4 * hidden)


def lstm(gates: nn.Linear, x: mg.Tensor, backwards: bool = False) -> mg.Tensor:
    """Hidden states of the layer, in the order of reading, for x of shape (batch, time, features)."""
    hidden = gates.out_features // 4
    h = c = mg.zeros(x.shape[0], hidden)
    states = []
    for t in range(x.shape[1])[:: -1 if backwards else 1]:
        z = gates(mg.cat([x[:, t], h], 1))
        i, f, o = (F.sigmoid(z[:, k * hidden : (k + 1) * hidden]) for k in range(3))
        c = f * c + i * F.tanh(z[:, 3 * hidden :])
        h = o * F.tanh(c)
        states.append(h)
    return mg.stack(states, 1)
