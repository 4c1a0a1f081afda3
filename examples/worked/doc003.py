"""Document 003: squared error, cross entropy, attention, the feed-forward network, the sizes of GPT-2.

In the order of the document; the squared-error and descent formulas are in `shared`.
"""

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn

from .registry import entry, found
from .tools import count, gradient, leaf, linear, real


@entry("003-4.1-ce")
def cross_entropy(y, y_hat, p_true):
    y, y_hat, p = real(y), real(y_hat), real(p_true)
    two_classes = mg.stack([1 - p, p], 1).log()
    target = mg.ones(len(p), dtype=mg.int64)
    printed, full = -(y * y_hat.log()).sum() / len(y), F.binary_cross_entropy(y_hat, y)
    return found(
        [
            ("probabilities of the true class", -p.log().sum() / len(p), F.cross_entropy(two_classes, target)),
            ("binary labels", printed, full),
        ],
        printed_formula=printed,
        binary_ce=full,
    )


@entry("003-4.2-attention")
def attention(q, k, v, c):
    q, k, v, c = leaf(q), leaf(k), leaf(v), real(c)
    d_k, eye = q.shape[-1], mg.eye(len(k), dtype=mg.float64)
    products = q @ k.transpose(0, 1)
    effective = F.softmax(products / d_k, -1) / d_k**0.5
    output = F.scaled_dot_product_attention(q, k, v)
    dq, dk, dv = gradient(c * output, q, k, v)
    return found(
        [("d_k = 2", effective @ v, output)],
        printed_formula={"scores": products / d_k, "effective_weights": effective, "output": effective @ v},
        corrected_formula={
            "scores": products / d_k**0.5,
            "weights": F.scaled_dot_product_attention(q, k, eye),
            "output": output,
        },
        gradients={"dQ": dq, "dK": dk, "dV": dv},
    )


@entry("003-4.3-ffn")
def feed_forward(w1, b1, w2, b2, x):
    x, first = real(x), nn.Sequential(linear(w1, b1), nn.ReLU())
    hidden = first(x)
    printed = F.relu(linear(w2)(hidden))
    corrected = nn.Sequential(first, linear(w2, b2))(x)
    return found(
        [("sigma is ReLU", printed, corrected)],
        hidden=hidden,
        printed_formula_sigma_relu=printed,
        corrected_formula=corrected,
    )


@entry("003-5.2-gpt2")
def gpt2(layers, d_model, d_ff, context, vocabulary):
    embeddings = mg.zeros(1).expand(vocabulary + context, d_model).numel()
    per_block = count(
        nn.LayerNorm(d_model),
        nn.Linear(d_model, 3 * d_model),
        nn.Linear(d_model, d_model),
        nn.LayerNorm(d_model),
        nn.Linear(d_model, d_ff),
        nn.Linear(d_ff, d_model),
    )
    final = count(nn.LayerNorm(d_model))
    return found(
        embeddings=embeddings,
        per_block=per_block,
        final_layernorm=final,
        total_tied=embeddings + layers * per_block + final,
    )
