"""optim_step: the update of all parameters of a group by one optimizer, each as one kernel that writes in place.

    sgd_step        p -= lr d                    d = g + weight_decay p, or its momentum buffer
    adagrad_step    p -= lr g / (sqrt(sum g²) + eps)
    rmsprop_step    p -= lr g / (sqrt(mean g²) + eps)
    adam_step       p -= lr (mean g / (1 - beta1^t)) / (sqrt(mean g² / (1 - beta2^t)) + eps), t = count of steps

All arrays come in lists (`Arrays`), one for each parameter and in its shape: first the parameters, then what the
optimizer remembers about them (None for what it does not use), then the gradients, which are never written to, and the
numbers. Sorted in order of increasing complexity; the state itself is kept by `minigrad.optim`.

Kernels: csrc/cpu/optim_step.cpp.
"""

from minigrad.backend.array import array_module
from minigrad.kernel import kernel


def each(params, *lists):
    """For each parameter its arrays from all lists, None from a list that is missing."""
    return zip(params, *[[None] * len(params) if x is None else x for x in lists], strict=True)


def descent(p, g, weight_decay, maximize):
    """The gradient to go down along: reversed to go up, and with the gradient of weight_decay/2 |p|² added."""
    d = -g if maximize else g
    return d + weight_decay * p if weight_decay else d


def decay(mean, value, beta):
    """Exponential moving average in place: mean = beta mean + (1 - beta) value."""
    mean *= beta
    mean += (1 - beta) * value


@kernel(outs=2)
def sgd_step(params, bufs, grads, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    for p, buf, g in each(params, bufs, grads):
        d = descent(p, g, weight_decay, maximize)
        if buf is not None:
            buf[...] = d if first else momentum * buf + (1 - dampening) * d
            d = d + momentum * buf if nesterov else buf
        p -= lr * d


@kernel(outs=2)
def adagrad_step(params, totals, grads, lr, weight_decay, eps, maximize):
    for p, total, g in each(params, totals, grads):
        d = descent(p, g, weight_decay, maximize)
        total += d * d
        p -= lr * d / (array_module(p).sqrt(total) + eps)


@kernel(outs=4)
def rmsprop_step(
    params, square_avgs, grad_avgs, bufs, grads, lr, alpha, eps, weight_decay, momentum, maximize
):  # fmt: skip
    for p, square_avg, grad_avg, buf, g in each(params, square_avgs, grad_avgs, bufs, grads):
        d = descent(p, g, weight_decay, maximize)
        decay(square_avg, d * d, alpha)
        variance = square_avg
        if grad_avg is not None:  # centered: the mean of the squares less the square of the mean
            decay(grad_avg, d, alpha)
            variance = square_avg - grad_avg * grad_avg
        d = d / (array_module(p).sqrt(variance) + eps)
        if buf is not None:
            buf *= momentum
            buf += d
            d = buf
        p -= lr * d


@kernel(outs=4)
def adam_step(
    params, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, grads, count,
    lr, beta1, beta2, eps, weight_decay, decoupled, maximize, bias_correction,
):  # fmt: skip
    correction1, correction2 = (1 - beta1**count, 1 - beta2**count) if bias_correction else (1, 1)
    for p, exp_avg, exp_avg_sq, max_exp_avg_sq, g in each(params, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, grads):
        xp = array_module(p)
        d = descent(p, g, 0 if decoupled else weight_decay, maximize)
        if decoupled:
            p *= 1 - lr * weight_decay
        decay(exp_avg, d, beta1)
        decay(exp_avg_sq, d * d, beta2)
        second = exp_avg_sq
        if max_exp_avg_sq is not None:
            second = xp.maximum(max_exp_avg_sq, exp_avg_sq, out=max_exp_avg_sq)
        p -= lr / correction1 * exp_avg / (xp.sqrt(second) / correction2**0.5 + eps)
