"""Formulas that several of the documents print: losses, activations and gradient descent, each written once."""

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import optim

from .registry import entry, found
from .tools import descend, gradient, leaf, real, sgd_step


@entry("000-3.1.2-sigmoid", "000-4.2.1-sigmoid-formula")
def sigmoid_formula(x):
    x = leaf(x)
    y = F.sigmoid(x)
    return found(
        [("any x", 1 / (1 + (-x).exp()), y), ("derivative", y * (1 - y), gradient(y, x))],
        value=y,
        derivative=gradient(y, x),
    )


@entry("000-3.1.2-relu", "000-4.2.2-relu-formula")
def relu_formula(x):
    x = leaf(x)
    y = F.relu(x)
    return found(
        [("any x", mg.maximum(x, mg.zeros_like(x)), y)],
        value=y,
        derivative=gradient(y, x),
    )


@entry("000-4.1.2-mse-formula", "001-4.1.1-mse-formula")
def half_mean_squared_error_formula(y, y_hat):
    y, y_hat = real(y), leaf(y_hat)
    loss = 0.5 * F.mse_loss(y_hat, y)
    return found(
        [("any samples", ((y - y_hat) ** 2).sum() / (2 * len(y)), loss)],
        value=loss,
        gradient=gradient(loss, y_hat),
    )


@entry("003-4.1-mse", "004-4.3-mse")
def mean_squared_error_formula(y, y_hat):
    y, y_hat = real(y), leaf(y_hat)
    loss = F.mse_loss(y_hat, y)
    return found(
        [("any samples", ((y - y_hat) ** 2).sum() / len(y), loss)],
        value=loss,
        gradient=gradient(loss, y_hat),
    )


@entry("000-4.3.2-gd", "001-4.1.2-gd", "003-4.4-gd", "004-4.2-sgd")
def gradient_descent_formula(theta, grad, alpha):
    theta_new = sgd_step(theta, grad, alpha)
    return found([("any gradient", real(theta) - alpha * real(grad), theta_new)], theta_new=theta_new)


@entry("002-4.1.2-update", "004-4.1-update")
def weight_and_bias_update_formula(w, b, x, y, alpha):
    w, b, x, y = leaf(w), leaf(b), real(x), real(y)
    loss = 0.5 * F.mse_loss(F.linear(x, w, b), y, reduction="sum")
    dw, db = gradient(loss, w, b)
    by_hand = [w - alpha * dw, b - alpha * db]
    found_by_hand = [value.tolist() for value in by_hand]
    optimizer = optim.SGD([w, b], lr=alpha)
    loss.backward()
    optimizer.step()
    return found([("any layer", found_by_hand, [w, b])], w_new=w, b_new=b)


def adam_path(theta0, grad, alpha, beta1, beta2, eps, steps, **options) -> list:
    """theta after each of the steps of optim.Adam under a constant gradient."""
    return descend(theta0, grad, lambda p: optim.Adam(p, lr=alpha, betas=(beta1, beta2), eps=eps, **options), steps)
