"""Document 001: attention and normalisation, schedules, losses, Adam, the LSTM listing, regularisation, metrics.

In the order of the document; the squared-error and descent formulas are in `shared`.
"""

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.optim import lr_scheduler

from .registry import entry, found
from .shared import adam_path
from .tools import batch_shape, count, gradient, leaf, linear, lstm, lstm_gates, real, sgd_step


def scores(q: mg.Tensor, k: mg.Tensor) -> mg.Tensor:
    return q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5


def attention_weights(q: mg.Tensor, k: mg.Tensor) -> mg.Tensor:
    """What the framework's attention multiplies the values with."""
    return F.scaled_dot_product_attention(q, k, mg.eye(len(k), dtype=mg.float64))


@entry("001-3.1.1-shared-qkv")
def shared_query_and_key(x, w_query, w_key):
    x = real(x)
    shared, projected = scores(x, x), scores(x @ real(w_query), x @ real(w_key))
    return found(
        [("two learned projections", attention_weights(x, x), F.softmax(projected, -1))],
        scores=shared,
        symmetric=bool((shared == shared.transpose(0, 1)).all().item()),
        projected_scores=projected,
    )


@entry("001-3.1.1-similarity")
def similarity(q, k):
    q, k = real(q), real(k)
    unit_q, unit_k = (x / (x * x).sum(1, keepdim=True).sqrt() for x in (q, k))
    printed = scores(q, k)
    return found(
        [("followed by softmax", F.softmax(printed, -1), attention_weights(q, k))],
        scores=printed,
        cosine_similarity=unit_q @ unit_k.transpose(0, 1),
    )


@entry("001-3.1.1-context")
def context(x):
    x = real(x)
    printed, corrected = scores(x, x) @ x, F.scaled_dot_product_attention(x, x, x)
    return found(
        [("three words", printed, corrected)],
        printed_formula=printed,
        corrected_formula=corrected,
        softmax_weights=attention_weights(x, x),
    )


def multi_head(q: mg.Tensor, k: mg.Tensor, v: mg.Tensor, heads: int) -> mg.Tensor:
    """Split the features into heads, attend in each, put the heads side by side; the last layer is the identity."""
    words, width = q.shape
    parts = [x.reshape(words, heads, width // heads).transpose(0, 1) for x in (q, k, v)]
    joined = F.scaled_dot_product_attention(*parts).transpose(0, 1).reshape(words, width)
    return linear(mg.eye(width).tolist())(joined)


@entry("001-3.1.2-multihead")
def multi_head_attention(x, heads, w_query):
    x = real(x)
    projected = x @ real(w_query)
    output = multi_head(x, x, x, heads)
    one_by_one = [
        F.scaled_dot_product_attention(part, part, part)
        for part in (x[:, head * x.shape[1] // heads : (head + 1) * x.shape[1] // heads] for head in range(heads))
    ]
    return found(
        [
            ("vectors projected before the split", mg.cat(one_by_one, 1), output),
            ("vectors not projected", output, multi_head(projected, x, x, heads)),
        ],
        output=output,
    )


@entry("001-3.1.3-layernorm")
def layer_norm(x, eps, batch):
    rows, width = real(batch), len(x)
    per_neuron = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + eps[1]).sqrt()
    outputs = {f"eps_{value:g}": nn.LayerNorm(width, eps=value).to(mg.float64)(real(x)) for value in eps}
    return found(
        [("statistics of each neuron", per_neuron, F.layer_norm(rows, (rows.shape[1],), eps=eps[1]))],
        **outputs,
    )


@entry("001-3.1.4-residual")
def residual(x, fx, feed_forward):
    total, norm = real(x) + real(fx), nn.LayerNorm(len(x)).to(mg.float64)
    by_hand = (total - total.mean()) / (total.var(unbiased=False) + norm.eps).sqrt()
    hidden = norm(total)
    described = linear(feed_forward)(hidden)
    return found(
        [
            ("one sublayer", by_hand, hidden),
            ("the whole block", described, norm(hidden + described)),
        ],
        sum=total,
        layernorm=hidden,
    )


def learning_rates(make, lr0: float, times: list[int]) -> list[float]:
    """The learning rate at the given epochs under the schedule `make(optimizer)`."""
    optimizer = optim.SGD([leaf(0.0)], lr=lr0)
    schedule, rates = make(optimizer), []
    for _ in range(max(times) + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [rates[t] for t in times]


@entry("001-3.2.2-steplr")
def step_schedule(lr0, gamma, step, t):
    return found(lr=learning_rates(lambda o: lr_scheduler.StepLR(o, step_size=step, gamma=gamma), lr0, t))


@entry("001-3.2.2-explr")
def exponential_schedule(lr0, gamma, t):
    return found(lr=learning_rates(lambda o: lr_scheduler.ExponentialLR(o, gamma=gamma), lr0, t))


@entry("001-4.1.1-ce-formula")
def binary_cross_entropy_formula(y, p):
    y, p = real(y), real(p)
    printed, full = -(y * p.log()).sum(), F.binary_cross_entropy(p, y, reduction="sum")
    return found(
        [("negative samples present", printed, full)],
        printed_formula=printed,
        binary_cross_entropy=full,
    )


@entry("001-4.1.1-ce")
def binary_cross_entropy_example(y, p):
    y, p = real(y), leaf(p)
    logits = leaf((p / (1 - p)).log().tolist())
    printed = -(y * p.log()).sum()
    mean = F.binary_cross_entropy(p, y)
    return found(
        computed=printed,
        consistent=mean,
        readings={
            "log_2": printed / real(2).log(),
            "log_10": printed / real(10).log(),
            "mean": printed / len(y),
            "full_sum": F.binary_cross_entropy(p, y, reduction="sum"),
            "full_mean": mean,
        },
        gradients={
            "p_printed": gradient(printed, p),
            "p_full_mean": gradient(mean, p),
            "logits_full_mean": gradient(F.binary_cross_entropy_with_logits(logits, y), logits),
        },
    )


@entry("001-4.1.1-mse")
def squared_error_example(y, y_hat):
    y, y_hat = real(y), leaf(y_hat)
    mean, total = F.mse_loss(y_hat, y), F.mse_loss(y_hat, y, reduction="sum")
    squares = F.mse_loss(y_hat, y, reduction="none")
    tenth = 1 / (2 * len(y))
    return found(
        computed=0.5 * mean,
        consistent=0.5 * mean,
        readings={
            "mean": mean,
            "half_sum": 0.5 * total,
            "sum": total,
            "first_term_divided": tenth * squares[0] + squares[1:].sum(),
            "first_term_summed_and_divided": tenth * len(y) * squares[0] + squares[1:].sum(),
        },
        gradients={"half_mean": gradient(0.5 * mean, y_hat), "mean": gradient(mean, y_hat)},
    )


@entry("001-4.1.2-gd-gradient")
def descent_gradient(y_hat, y):
    y_hat, y = leaf(y_hat), real(y)
    half = gradient(0.5 * F.mse_loss(y_hat, y), y_hat)
    return found(
        computed=half,
        consistent=half,
        readings={"mean_convention": gradient(F.mse_loss(y_hat, y), y_hat)},
    )


@entry("001-4.1.2-gd-update")
def descent_update(theta0, alpha, grad, y_hat, y):
    y_hat = leaf(y_hat)
    half = gradient(0.5 * F.mse_loss(y_hat, real(y)), y_hat)
    own = sgd_step(theta0, half.item(), alpha)
    return found(
        computed=sgd_step(theta0, grad, alpha),
        consistent=own,
        readings={"half_mean_convention": own},
    )


@entry("001-4.1.2-adam")
def adam_formula(theta0, grad, alpha, beta1, beta2, eps, steps):
    setting = (theta0, grad, alpha, beta1, beta2, eps, steps)
    printed, standard = adam_path(*setting, bias_correction=False), adam_path(*setting)
    return found(
        [("the first steps", printed, standard)],
        printed_no_bias_correction=printed,
        with_bias_correction=standard,
    )


def adam_state(grad: float, name: str) -> float:
    """A moment that optim.Adam keeps after its first step."""
    theta = leaf(1.0)
    optimizer = optim.Adam([theta])
    (grad * theta).backward()
    optimizer.step()
    return optimizer.state[theta][name].item()


@entry("001-4.1.2-adam-m1")
def first_moment(grad):
    moment = adam_state(grad, "exp_avg")
    return found(computed=moment, consistent=moment)


@entry("001-4.1.2-adam-v1")
def second_moment(grad):
    moment = adam_state(grad, "exp_avg_sq")
    return found(computed=moment, consistent=moment)


@entry("001-4.1.2-adam-theta1")
def adam_step(theta0, grad, alpha, beta1, beta2, eps, large_eps):
    def first(eps, **options):
        return adam_path(theta0, grad, alpha, beta1, beta2, eps, 1, **options)[0]

    m, v = real(adam_state(grad, "exp_avg")), real(adam_state(grad, "exp_avg_sq"))
    return found(
        computed=first(eps, bias_correction=False),
        consistent=first(eps),
        readings={
            "bias_corrected": first(eps),
            "epsilon_in_the_root": theta0 - alpha * m / (v + eps).sqrt(),
            "bias_corrected_large_epsilon": first(large_eps),
        },
    )


@entry("001-5.2-lstm")
def stacked_lstm(vocabulary, words, width, hidden, batch):
    embedding = nn.Embedding(vocabulary, width)
    first, second, dense = lstm_gates(width, hidden), lstm_gates(hidden, hidden), nn.Linear(hidden, 1)
    with mg.no_grad():
        tokens = mg.zeros(batch, words, dtype=mg.int64)
        embedded = embedding(tokens)
        states = lstm(first, embedded)
        last = lstm(second, states)[:, -1]
        shapes = [batch_shape(x) for x in (tokens, embedded, states, last, dense(last))]
    return found(
        embedding=count(embedding),
        lstm1=count(first),
        lstm2=count(second),
        dense=count(dense),
        total=count(embedding, first, second, dense),
        shapes=shapes,
        loss_of_p_half=F.binary_cross_entropy(real([0.5]), real([1])),
    )


@entry("001-9.3-l2")
def weight_decay(w, decay):
    weight = leaf(w)
    penalty = decay / 2 * (weight**2).sum()
    stepped = sgd_step(w, [0.0] * len(w), 1.0, weight_decay=decay)
    return found(
        penalty=penalty,
        gradient=gradient(penalty, weight),
        optimizer_gradient=real(w) - real(stepped),
    )


@entry("001-9.3-dropout")
def dropout(x, p, mask):
    x = real(x)
    outcomes = mg.stack([mg.zeros_like(x), x / (1 - p)])
    chances = real([[p], [1 - p]])
    mean = (chances * outcomes).sum(0)
    return found(
        output=dropout_with_mask(x, p, mask),
        evaluation=nn.Dropout(p).eval()(x),
        variance_of_output=(chances * outcomes**2).sum(0) - mean**2,
    )


def dropout_with_mask(x: mg.Tensor, p: float, mask: list[int]) -> mg.Tensor:
    """nn.Dropout's output for the first seed that keeps just the elements in the mask."""
    for seed in range(1000):
        mg.manual_seed(seed)
        y = nn.Dropout(p)(x)
        if (y != 0).tolist() == [bool(keep) for keep in mask]:
            return y
    raise LookupError(f"[dropout] no seed below 1000 draws the mask {mask}, expected about one in {2 ** len(mask)}")


@entry("001-9.4-metrics")
def metrics(y, scores, threshold):
    y, s = real(y), real(scores)
    guess = (s >= threshold).to(mg.float64)
    tp, fp, fn, tn = ((a * b).sum() for a, b in ((guess, y), (guess, 1 - y), (1 - guess, y), (1 - guess, 1 - y)))
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    f1 = 2 * precision * recall / (precision + recall)
    accuracy, auc = (tp + tn) / len(y), pairwise_auc(y, s)
    return found(
        [
            ("accuracy", accuracy, (guess == y).to(mg.float64).mean()),
            ("F1", f1, tp / (tp + (fp + fn) / 2)),
            ("area under the curve", area_under_curve(y, s), auc),
        ],
        TP=tp,
        FP=fp,
        FN=fn,
        TN=tn,
        accuracy=accuracy,
        precision=precision,
        recall=recall,
        f1=f1,
        roc_auc=auc,
    )


def pairwise_auc(y: mg.Tensor, s: mg.Tensor) -> mg.Tensor:
    """The share of (positive, negative) pairs in the right order, ties counting half."""
    positive, negative = s[y == 1].unsqueeze(1), s[y == 0].unsqueeze(0)
    return (positive > negative).to(mg.float64).mean() + 0.5 * (positive == negative).to(mg.float64).mean()


def area_under_curve(y: mg.Tensor, s: mg.Tensor) -> mg.Tensor:
    """Trapezoids under the true-positive rate against the false-positive rate."""
    thresholds = real([float("inf"), *sorted(s.tolist(), reverse=True)]).unsqueeze(1)
    above = (s.unsqueeze(0) >= thresholds).to(mg.float64)
    tpr, fpr = (above * y).sum(1) / y.sum(), (above * (1 - y)).sum(1) / (1 - y).sum()
    return ((fpr[1:] - fpr[:-1]) * (tpr[1:] + tpr[:-1]) / 2).sum()
