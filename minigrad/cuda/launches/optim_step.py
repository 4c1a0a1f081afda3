"""optim_step: one launch for up to 48 parameters; what depends on the step alone is found here."""

from minigrad.cuda.launches import Launch, launches
from minigrad.cuda.launches.tensors import THREADS, batches


@launches
def sgd_step(params, bufs, grads, lr, momentum, dampening, weight_decay, nesterov, maximize, first):
    for blocks, tensors in batches(2, params, bufs, grads):
        args = (tensors, lr, momentum, dampening, weight_decay, nesterov, maximize, first)
        yield Launch("sgd_step", blocks, THREADS, args)


@launches
def adagrad_step(params, totals, grads, lr, weight_decay, eps, maximize):
    for blocks, tensors in batches(2, params, totals, grads):
        yield Launch("adagrad_step", blocks, THREADS, (tensors, lr, weight_decay, eps, maximize))


@launches
def rmsprop_step(
    params, square_avgs, grad_avgs, bufs, grads, lr, alpha, eps, weight_decay, momentum, maximize
):  # fmt: skip
    for blocks, tensors in batches(4, params, square_avgs, grad_avgs, bufs, grads):
        yield Launch("rmsprop_step", blocks, THREADS, (tensors, lr, alpha, eps, weight_decay, momentum, maximize))


@launches
def adam_step(
    params, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, grads, count,
    lr, beta1, beta2, eps, weight_decay, decoupled, maximize, bias_correction,
):  # fmt: skip
    correction1, correction2 = (1 - beta1**count, 1 - beta2**count) if bias_correction else (1, 1)
    decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
    numbers = (lr / correction1, correction2**0.5, beta1, beta2, eps, decay, shrink, maximize)
    for blocks, tensors in batches(4, params, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, grads):
        yield Launch("adam_step", blocks, THREADS, (tensors, *numbers))
