"""Document 004: language-model losses, the matrix example, Adam, cross entropy, the BiLSTM listing.

Read `proper` first: the matrix example, every intermediate by autograd. The descent and squared-error formulas are in
`shared`. The document writes Z = XW + b with one sample in each row; nn.Linear keeps the transpose of that W.
"""

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

from .registry import entry, found
from .shared import adam_path
from .tools import (
    batch_shape,
    count,
    gradient,
    half_squared_error,
    leaf,
    linear,
    lstm,
    lstm_gates,
    real,
    sgd_step,
    uniform_loss,
)


def transposed(matrix) -> list:
    return [list(column) for column in zip(*matrix, strict=True)]


def layer(w, b) -> nn.Linear:
    """The layer Z = XW + b."""
    return linear(transposed(w), b)


def proper(x, w, b, y, alpha) -> dict:
    """Forward pass, gradients and one step on half the summed squared error, and the forward pass after it."""
    x, y, dense = leaf(x), real(y), layer(w, b)
    z = dense(x)
    a = F.relu(z)
    loss = half_squared_error(a, y)
    dz, dx, dw, db = gradient(loss, z, x, dense.weight, dense.bias)
    mean = F.mse_loss(a, y)
    optimizer = optim.SGD(dense.parameters(), lr=alpha)
    values = {
        **{"Z": z, "A": a, "loss": loss, "relu_prime": gradient(a, z)},
        **{"dZ": dz, "dW": dw.transpose(0, 1), "db": db, "dX": dx},
        "elementwise_mean_mse": {"loss": mean, "dZ": gradient(mean, z)},
    }
    loss.backward()
    optimizer.step()
    z_after = dense(x)
    after = {"W_new": transposed(dense.weight.tolist()), "b_new": dense.bias.tolist()}
    loss_after = half_squared_error(F.relu(z_after), y)
    return {**values, **after, "Z_after": z_after, "A_after": F.relu(z_after), "loss_after": loss_after}


def in_alpha(start, slope):
    """start - alpha slope as text, from two steps of optim.SGD: alpha = 0 and alpha = 1."""
    return affine_text(sgd_step(start, slope, 0.0), sgd_step(start, slope, 1.0))


def affine_text(at_zero, at_one):
    """The line through the two values as text: '1-2a', '-a', '1', '0'; nested lists element by element."""
    if isinstance(at_zero, list):
        return "[" + ", ".join(map(affine_text, at_zero, at_one)) + "]"
    slope = at_one - at_zero
    if slope == 0:
        return f"{at_zero:g}"
    factor = {1: "a", -1: "-a"}.get(slope, f"{slope:g}a")
    return factor if at_zero == 0 else f"{at_zero:g}{'+' if slope > 0 else ''}{factor}"


@entry("004-4.1-network-proper")
def network(x, w, b, y, alpha):
    values = proper(x, w, b, y, alpha)
    dw, db = values["dW"].tolist(), values["db"].tolist()
    return found(**values, symbolic={"W_new": in_alpha(w, dw), "b_new": in_alpha(b, db)})


@entry("004-3.4-mlm")
def masked_language_model(vocabulary, masked, ignored):
    target = mg.tensor([masked, ignored, ignored])
    return found(loss=F.cross_entropy(mg.zeros(3, vocabulary, dtype=mg.float64), target, ignore_index=ignored))


@entry("004-3.4-lm")
def language_model(vocabulary):
    loss = uniform_loss(vocabulary)
    return found(loss=loss, perplexity=loss.exp())


@entry("004-4.1-network")
def forward(x, w, b):
    z = layer(w, b)(real(x))
    products, bias = real(x) @ real(w), real(b)
    return found(
        [("b is added to every row", products + bias, z), ("b is a column", products + bias.unsqueeze(1), z)],
        Z=z,
        A=F.relu(z),
    )


@entry("004-4.1-backward")
def backward(x, w, b, y):
    values = proper(x, w, b, y, 0.1)
    printed = values["A"] - real(y)
    return found(
        [("some unit is switched off", printed, values["dZ"])],
        printed_formula=printed,
        **{name: values[name] for name in ("dZ", "dW", "db")},
    )


@entry("004-4.1-Z")
def printed_z(x, w, b, y, alpha):
    products, bias = real(x) @ real(w), real(b)
    return found(
        computed=layer(w, b)(real(x)),
        consistent=proper(x, w, b, y, alpha)["Z"],
        readings={
            "b_on_the_diagonal": products + bias * mg.eye(len(b), dtype=mg.float64),
            "b_as_a_column": products + bias.unsqueeze(1),
        },
    )


@entry("004-4.1-A")
def printed_a(z, x, w, b, y, alpha):
    return found(computed=F.relu(real(z)), consistent=proper(x, w, b, y, alpha)["A"])


def error_of(a, y) -> mg.Tensor:
    """The gradient of half the summed squared error."""
    prediction = leaf(a)
    return gradient(half_squared_error(prediction, real(y)), prediction)


@entry("004-4.1-dZ")
def printed_dz(a, x, w, b, y, alpha):
    return found(computed=error_of(a, y), consistent=proper(x, w, b, y, alpha)["dZ"])


def layer_gradients(x, w, b, dz):
    """dW and db for this dZ, by autograd."""
    dense = layer(w, b)
    dw, db = gradient(dense(real(x)) * real(dz), dense.weight, dense.bias)
    return dw.transpose(0, 1), db


@entry("004-4.1-dW")
def printed_dw(dz, a, x, w, b, y, alpha):
    return found(
        computed=layer_gradients(x, w, b, dz)[0],
        consistent=proper(x, w, b, y, alpha)["dW"],
        readings={"from_the_right_dZ": layer_gradients(x, w, b, error_of(a, y).tolist())[0]},
    )


@entry("004-4.1-db")
def printed_db(dz, a, x, w, b, y, alpha):
    return found(
        computed=layer_gradients(x, w, b, dz)[1],
        consistent=proper(x, w, b, y, alpha)["db"],
        readings={
            "from_the_right_dZ": layer_gradients(x, w, b, error_of(a, y).tolist())[1],
            "row_sums": real(dz).sum(1),
        },
    )


@entry("004-4.1-Wnew")
def printed_w_new(dw, x, w, b, y, alpha):
    return found(
        computed=in_alpha(w, dw),
        consistent=proper(x, w, b, y, alpha)["W_new"],
        readings={
            "right_hand_side": sgd_step(w, dw, alpha),
            "w_multiplied_by_alpha": alpha * real(w) - alpha * real(dw),
            "w_multiplied_by_alpha_as_text": affine_text([[0.0] * 2] * 2, (real(w) - real(dw)).tolist()),
        },
    )


@entry("004-4.1-bnew")
def printed_b_new(db, x, w, b, y, alpha):
    return found(
        computed=in_alpha(b, db),
        consistent=proper(x, w, b, y, alpha)["b_new"],
        readings={"column_minus_row": real(b).unsqueeze(1) - alpha * real([db])},
    )


@entry("004-4.2-adam")
def adam(theta0, grad, alpha, beta1, beta2, eps, steps):
    path = adam_path(theta0, grad, alpha, beta1, beta2, eps, steps)
    return found(
        [("five steps", adam_by_hand(theta0, grad, alpha, beta1, beta2, eps, steps), path)],
        theta=path,
    )


def adam_by_hand(theta0, grad, alpha, beta1, beta2, eps, steps) -> list:
    """The printed recursion, line by line."""
    theta, g, m, v, path = real(theta0), real(grad), real(0), real(0), []
    for t in range(1, steps + 1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta = theta - alpha * m_hat / (v_hat.sqrt() + eps)
        path.append(theta)
    return path


@entry("004-4.3-ce")
def cross_entropy(y, p):
    y, logits = real(y), leaf(real(p).log().tolist())
    loss = F.cross_entropy(logits, y)
    return found(
        [("several samples", -(y * real(p).log()).sum() / len(y), loss)],
        value=loss,
        grad_logits=gradient(loss, logits),
    )


@entry("004-5.2-bilstm")
def bidirectional_lstm(vocabulary, words, width, hidden, classes, batch):
    embedding, dense = nn.Embedding(vocabulary, width), nn.Linear(2 * hidden, classes)
    there, back = lstm_gates(width, hidden), lstm_gates(width, hidden)
    with mg.no_grad():
        tokens = mg.zeros(batch, words, dtype=mg.int64)
        embedded = embedding(tokens)
        last = mg.cat([lstm(there, embedded)[:, -1], lstm(back, embedded, backwards=True)[:, -1]], 1)
        shapes = [batch_shape(x) for x in (tokens, embedded, last, dense(last))]
    return found(
        embedding=f"{count(embedding) // vocabulary} V",
        bilstm=count(there, back),
        dense=count(dense),
        total=count(embedding, there, back, dense),
        shapes=shapes,
        loss_of_uniform_prediction=uniform_loss(classes),
    )
