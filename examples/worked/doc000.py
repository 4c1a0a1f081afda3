"""Document 000: neurons and their errors, compression, cross entropy, the one-layer network, the MNIST listing.

In the order of the document; the sigmoid, ReLU, squared-error and descent formulas are in `shared`.
"""

import math

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.utils.data import DataLoader, TensorDataset
from minigrad.vision.transforms import Normalize

from .registry import entry, found
from .tools import (
    count,
    dense_layers,
    descend,
    gradient,
    half_squared_error,
    leaf,
    linear,
    real,
    sgd_step,
    uniform_loss,
)


@entry("000-3.1.2-neuron")
def neuron(w, x, b):
    x = real(x)
    z = linear([w], [b])(x)[0]
    return found(
        [("any weights", (real(w) * x).sum() + b, z)],
        preactivation=z,
        sigmoid=F.sigmoid(z),
        relu=F.relu(z),
        tanh=mg.tanh(z),
    )


@entry("000-3.1.2-tanh")
def tanh_formula(x):
    x = leaf(x)
    y = mg.tanh(x)
    quotient = (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())
    return found([("moderate x", quotient, y)], value=y, derivative=gradient(y, x))


@entry("000-3.2.1-output-error")
def output_error(z, y):
    z, y = leaf(z), real(y)
    printed = F.sigmoid(z) - y
    squared = gradient(half_squared_error(F.sigmoid(z), y), z)
    entropy = gradient(F.binary_cross_entropy(F.sigmoid(z), y), z)
    return found(
        [
            ("sigmoid output, binary cross entropy", printed, entropy),
            ("identity output, half squared error", z - y, gradient(half_squared_error(z, y), z)),
            ("sigmoid output, half squared error", printed, squared),
        ],
        printed=printed,
        sigmoid_mse_half=squared,
        sigmoid_bce=entropy,
    )


@entry("000-3.2.2-hidden-error")
def hidden_error(w_out, delta_out, z_hidden):
    z, delta = leaf(z_hidden), real(delta_out)
    a = F.sigmoid(z)
    printed = delta * gradient(a, z)
    corrected = gradient(linear(w_out)(a) * delta, z)
    return found([("two units", printed, corrected)], printed_formula=printed, corrected_formula=corrected)


@entry("000-3.2.3-update")
def update(w, b, x, y, alpha):
    start = {"w": leaf(w), "b": leaf(b)}
    residual = start["w"] * x + start["b"] - y
    literal = sgd_step(w, gradient(residual, start["w"]).item(), alpha)
    dw, db = gradient(0.5 * residual**2, start["w"], start["b"])
    optimizer = optim.SGD(list(start.values()), lr=alpha)
    half_squared_error(residual, real(0)).backward()
    optimizer.step()
    return found(
        [
            ("error read as the loss", [w - alpha * dw, b - alpha * db], [start["w"], start["b"]]),
            ("error read as the residual", literal, start["w"]),
        ],
        literal_residual_w=literal,
        half_squared_error_w=start["w"],
        half_squared_error_b=start["b"],
    )


@entry("000-3.3.1-pruning")
def pruning(weights, amount, matrix, remove_rows):
    w, norms = real(weights), (real(matrix) ** 2).sum(1).sqrt()
    mask = (rank(w.abs()) >= amount * len(weights)).to(mg.float64)
    kept = (rank(norms) >= remove_rows).tolist()
    return found(
        weight={"mask": mask, "output": w * mask},
        structured={"kept_rows": [row for row, keep in enumerate(kept) if keep]},
    )


def rank(x: mg.Tensor) -> mg.Tensor:
    """How many elements are smaller than each."""
    return (x.unsqueeze(0) < x.unsqueeze(1)).to(mg.float64).sum(1)


@entry("000-3.3.2-quantization")
def quantization(w, bits):
    w, top = real(w), 2 ** (bits - 1) - 1
    scale = w.abs().max() / top
    q = nearest(w / scale).clamp(-top, top)
    error = (q * scale - w).abs().max()
    return found(scale=scale, q=q, dequantised=q * scale, max_abs_error=error, bound_half_scale=scale / 2)


def nearest(x: mg.Tensor) -> mg.Tensor:
    """The nearest whole number, ties to even: doubles near 1.5 * 2**52 are one apart, so the sum rounds."""
    return (x + 1.5 * 2**52) - 1.5 * 2**52


@entry("000-3.3.3-distillation")
def distillation(teacher_logits, student_logits, temperature):
    teacher, student = real(teacher_logits), leaf(student_logits)
    log_p = F.log_softmax(teacher / temperature, -1)
    log_q = F.log_softmax(student / temperature, -1)
    kl = (log_p.exp() * (log_p - log_q)).sum()
    hard_label = teacher.argmax()
    soft_loss = temperature**2 * kl
    return found(
        teacher_probs=log_p.exp(),
        student_probs=log_q.exp(),
        kl=kl,
        soft_loss=soft_loss,
        hard_label=hard_label,
        hard_loss=F.cross_entropy(student, hard_label),
        soft_loss_gradient=gradient(soft_loss, student),
    )


@entry("000-4.1.1-ce-formula")
def cross_entropy_formula(y, p):
    y, p = real(y), real(p)
    corrected = F.cross_entropy(p.log(), y)
    one = -(y[0] * p[0].log()).sum()
    without_index = sum(one for _ in range(len(y))) / len(y)
    return found(
        [
            ("one sample", one, F.cross_entropy(p[:1].log(), y[:1])),
            ("two samples", without_index, corrected),
        ],
        corrected_formula=corrected,
    )


@entry("000-4.1.1-ce")
def cross_entropy_example(y, p, m):
    y, p = real(y), leaf(p)
    logits = leaf(p.log().tolist())
    one_sample = F.cross_entropy(logits.unsqueeze(0), y.unsqueeze(0))
    bit, digit = real(2).log(), real(10).log()
    printed = -(y * p.log()).sum() / m
    return found(
        computed=printed,
        consistent=one_sample,
        readings={
            "log_2": printed / bit,
            "log_10": printed / digit,
            "one_sample": one_sample,
            "two_binary_samples": F.binary_cross_entropy(p, y),
            "one_sample_log_2": one_sample / bit,
            "entropy_of_p_in_bits": -(p * p.log()).sum() / bit,
        },
        gradients={
            "p_half": gradient(printed, p),
            "p": gradient(-(y * p.log()).sum(), p),
            "logits": gradient(one_sample, logits),
        },
    )


@entry("000-4.1.2-mse")
def squared_error_example(y, y_hat):
    y, y_hat = real(y), leaf(y_hat)
    mean, total = F.mse_loss(y_hat, y), F.mse_loss(y_hat, y, reduction="sum")
    return found(
        computed=0.5 * mean,
        consistent=0.5 * mean,
        readings={"printed_expression": 0.5 * total, "mean": mean, "half_sum": 0.5 * total, "sum": total},
        gradients={"half_mean": gradient(0.5 * mean, y_hat), "mean": gradient(mean, y_hat)},
    )


@entry("000-4.2.1-sigmoid")
def sigmoid_of_two(x, coarse_exponential, stated):
    x, stated = leaf(x), real(stated)
    y = F.sigmoid(x)
    return found(
        computed=y,
        consistent=y,
        readings={
            "coarse_exponential": 1 / (1 + real(coarse_exponential)),
            "x_that_would_fit": (stated / (1 - stated)).log(),
        },
        gradients={"x": gradient(y, x)},
    )


@entry("000-4.2.2-relu")
def relu_of_minus_two(x):
    x = leaf(x)
    y = F.relu(x)
    return found(computed=y, consistent=y, gradients={"x": gradient(y, x)})


@entry("000-4.3.1-forward")
def forward(theta, x, y):
    x, y = real([x]), real([y])
    model = nn.Sequential(linear([[theta]]), nn.Sigmoid())
    y_hat = model(x)
    loss = half_squared_error(y_hat, y)
    return found(
        [
            ("f is the whole model", F.sigmoid(theta * x), y_hat),
            ("f is the activation alone", F.sigmoid(x), y_hat),
        ],
        y_hat=y_hat[0],
        loss=loss,
    )


@entry("000-4.3.2-chain")
def chain_rule(theta, x, y):
    theta = leaf(theta)
    y_hat = F.sigmoid(theta * x)
    prediction = leaf(y_hat.item())
    outer = gradient(half_squared_error(prediction, real(y)), prediction)
    whole = gradient(half_squared_error(y_hat, real(y)), theta)
    return found([("any loss", outer * gradient(y_hat, theta), whole)], dL_dtheta=whole)


@entry("000-4.3.2-dL-dyhat")
def loss_gradient(y_hat, y):
    y_hat, y = leaf(y_hat), real(y)
    half = gradient(half_squared_error(y_hat, y), y_hat)
    return found(
        computed=half,
        consistent=half,
        readings={
            "squared_error": gradient(F.mse_loss(y_hat, y), y_hat),
            "binary_cross_entropy": gradient(F.binary_cross_entropy(y_hat, y), y_hat),
        },
    )


def one_weight(y_hat: float, x: float):
    """theta as a leaf with sigmoid(theta x) = y_hat, and that prediction."""
    theta = leaf(math.log(y_hat / (1 - y_hat)) / x)
    return theta, F.sigmoid(theta * x)


@entry("000-4.3.2-dsigmoid")
def sigmoid_gradient(y_hat, x):
    z, without_input = one_weight(y_hat, 1)
    theta, with_input = one_weight(y_hat, x)
    slope = gradient(with_input, theta)
    return found(
        computed=gradient(without_input, z),
        consistent=slope,
        readings={"with_the_input": slope},
    )


@entry("000-4.3.2-dL-dtheta")
def parameter_gradient(dL_dyhat, dyhat_dtheta, y_hat, x, y):
    theta, prediction = one_weight(y_hat, x)
    z, without_input = one_weight(y_hat, 1)
    with_input = gradient(half_squared_error(prediction, real(y)), theta)
    return found(
        computed=real(dL_dyhat) * real(dyhat_dtheta),
        consistent=with_input,
        readings={
            "with_the_input": with_input,
            "binary_cross_entropy": gradient(F.binary_cross_entropy(prediction, real(y)), theta),
            "binary_cross_entropy_without_input": gradient(F.binary_cross_entropy(without_input, real(y)), z),
        },
    )


@entry("000-4.3.2-update")
def parameter_update(theta0, alpha, grad, y_hat, x, y):
    z, _ = one_weight(y_hat, 1)
    theta, prediction = one_weight(y_hat, x)
    given = leaf(theta0)
    literal = F.sigmoid(given * x)
    literal_slope = gradient(half_squared_error(literal, real(y)), given)
    slope = gradient(half_squared_error(prediction, real(y)), theta)
    entropy_slope = gradient(F.binary_cross_entropy(prediction, real(y)), theta)
    updated = sgd_step(theta.item(), slope.item(), alpha)
    return found(
        [("the start gives the stated prediction", y_hat, literal)],
        computed=sgd_step(theta0, grad, alpha),
        consistent=updated,
        readings={
            "start_without_input": z,
            "updated_without_input": sgd_step(z.item(), grad, alpha),
            "start": theta,
            "updated": updated,
            "updated_by_binary_cross_entropy": sgd_step(theta.item(), entropy_slope.item(), alpha),
            "literal_prediction": literal,
            "literal_gradient": literal_slope,
            "literal_updated": sgd_step(theta0, literal_slope.item(), alpha),
        },
    )


@entry("000-5.2-simplenn")
def simple_network(widths, train_samples, batch, test_samples, test_batch):
    layers = dense_layers(widths)
    train = DataLoader(TensorDataset(mg.arange(train_samples)), batch_size=batch)
    test = DataLoader(TensorDataset(mg.arange(test_samples)), batch_size=test_batch)
    guess = mg.zeros(widths[-1], widths[-1]).argmax(1)
    return found(
        parameters=count(*layers),
        per_layer=[count(layer) for layer in layers],
        train_batches=len(train),
        last_batch=[len(numbers) for (numbers,) in train][-1],
        test_batches=len(test),
        loss_of_uniform_prediction=uniform_loss(widths[-1]),
        chance_accuracy=(guess == mg.arange(widths[-1])).to(mg.float64).mean(),
    )


@entry("000-5.2-sgd-momentum")
def momentum(theta0, grad, lr, momentum, steps):
    return found(theta=descend(theta0, grad, lambda p: optim.SGD(p, lr=lr, momentum=momentum), steps))


@entry("000-5.2.2-normalize")
def normalize(x, mean, std):
    pixels = Normalize((mean,), (std,))(real([[x]]))[0, 0]
    return found(computed=pixels, consistent=pixels, range=[pixels.min(), pixels.max()])
