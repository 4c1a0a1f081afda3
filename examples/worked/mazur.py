"""The best-known hand-worked backpropagation, and why its totals cannot be reproduced.

Source: M. Mazur, "A Step by Step Backpropagation Example", 2015: two inputs, two hidden and two output units, all
sigmoid, half the squared error, learning rate 0.5, biases left alone. The article says that the hidden deltas use the
original output weights; the loss it prints after the step is that of a program which updates the output weights first
and then uses the new ones.

Read `correct_step` and `output_first_step`, the two procedures, then the entries.
"""

from collections.abc import Callable

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import optim

from .registry import entry, found
from .tools import half_squared_error, leaf, real


class Network:
    """Weights as leaves (the biases as plain numbers, one for each layer) and one optimizer for each layer."""

    def __init__(self, x, y, w1, b1, w2, b2, alpha):
        self.x, self.y = real(x), real(y)
        self.w1, self.w2, self.b1, self.b2 = leaf(w1), leaf(w2), real([b1] * 2), real([b2] * 2)
        self.first, self.second = optim.SGD([self.w1], lr=alpha), optim.SGD([self.w2], lr=alpha)

    def forward(self):
        """Hidden activations, pre-activations of the output, outputs."""
        h = F.sigmoid(F.linear(self.x, self.w1, self.b1))
        z = F.linear(h, self.w2, self.b2)
        return h, z, F.sigmoid(z)

    def loss(self) -> mg.Tensor:
        return half_squared_error(self.forward()[-1], self.y)

    def clear(self) -> None:
        self.first.zero_grad()
        self.second.zero_grad()


def correct_step(net: Network) -> None:
    """Backpropagation: every gradient at the weights of the forward pass, then every update."""
    net.clear()
    net.loss().backward()
    net.first.step()
    net.second.step()


def output_first_step(net: Network) -> None:
    """The fault: the output weights are updated first, and the hidden deltas go through the new ones."""
    net.clear()
    h, z, outputs = net.forward()
    (delta,) = mg.autograd.grad(half_squared_error(outputs, net.y), [z], retain_graph=True)
    F.linear(h.detach(), net.w2).backward(delta)
    net.second.step()
    F.linear(h, net.w2.detach()).backward(delta)
    net.first.step()


def after(steps: int, step: Callable, setting: dict) -> Network:
    net = Network(**setting)
    for _ in range(steps):
        step(net)
    return net


def state(net: Network) -> dict:
    return {"loss": net.loss(), "outputs": net.forward()[-1]}


def loss_with_trained_biases(setting: dict, shared: bool) -> mg.Tensor:
    """The loss after one step that moves the biases as well: one for each unit, or one that a layer's units share."""
    net = Network(**setting)
    size = 1 if shared else 2
    biases = [leaf([setting[name]] * size) for name in ("b1", "b2")]
    net.b1, net.b2 = (bias.expand(2) for bias in biases)
    optimizer = optim.SGD([net.w1, net.w2, *biases], lr=setting["alpha"])
    net.loss().backward()
    optimizer.step()
    net.b1, net.b2 = (bias.detach().expand(2) for bias in biases)
    return net.loss()


@entry("mazur-forward")
def before_training(**setting):
    loss = Network(**setting).loss()
    return found(computed=loss, consistent=loss, outputs=Network(**setting).forward()[-1])


@entry("mazur-step-1")
def after_one_step(**setting):
    correct = after(1, correct_step, setting)
    return found(
        computed=correct.loss(),
        consistent=correct.loss(),
        readings={
            "output_weights_first": after(1, output_first_step, setting).loss(),
            "biases_trained": loss_with_trained_biases(setting, shared=False),
            "layer_bias_trained": loss_with_trained_biases(setting, shared=True),
        },
        weights={"w1": correct.w1, "w2": correct.w2},
    )


@entry("mazur-step-10000")
def after_many_steps(steps, **setting):
    net = after(steps - 1, correct_step, setting)
    one_step_earlier = net.loss()
    correct_step(net)
    faulty = state(after(steps, output_first_step, setting))
    return found(
        computed=[state(net)["loss"], *state(net)["outputs"].tolist()],
        consistent=[state(net)["loss"], *state(net)["outputs"].tolist()],
        readings={
            "output_weights_first": [faulty["loss"], *faulty["outputs"].tolist()],
            "loss_one_step_earlier": one_step_earlier,
        },
    )
