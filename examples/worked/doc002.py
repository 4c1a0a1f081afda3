"""Document 002: the 2-2-2 network by hand, batch normalisation, the ConvNet listing and its sizes.

Read `trace` first: the whole network, every intermediate by autograd. The entries that follow judge the printed
numbers one by one. The descent formula is in `shared`.
"""

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

from .registry import entry, found
from .tools import count, dense_layers, gradient, half_squared_error, leaf, linear, real, sgd_step, uniform_loss


def build(w1, b1, w2, b2) -> nn.Sequential:
    return nn.Sequential(linear(w1, b1), nn.ReLU(), linear(w2, b2), nn.ReLU())


def forward(net: nn.Sequential, x: mg.Tensor) -> dict:
    """Every stage of the network."""
    z1 = net[0](x)
    a1 = net[1](z1)
    z2 = net[2](a1)
    return {"z1": z1, "a1": a1, "z2": z2, "y_hat": net[3](z2)}


def weights(net: nn.Sequential) -> dict:
    return {
        name: parameter.tolist() for name, parameter in zip(("W1", "b1", "W2", "b2"), net.parameters(), strict=True)
    }


def slopes(net: nn.Sequential) -> dict:
    return {
        name: parameter.grad.tolist()
        for name, parameter in zip(("dW1", "db1", "dW2", "db2"), net.parameters(), strict=True)
    }


def descend(net: nn.Sequential, loss: mg.Tensor, alpha: float) -> dict:
    """One step of gradient descent on `loss`: the gradients, and the weights after it."""
    optimizer = optim.SGD(net.parameters(), lr=alpha)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"grads": slopes(net), "updated": weights(net)}


def trace(net: nn.Sequential, x: mg.Tensor, y: mg.Tensor, alpha: float) -> dict:
    """Forward pass, deltas, gradients, one step, and the forward pass after it."""
    stages = forward(net, x)
    loss = half_squared_error(stages["y_hat"], y)
    delta2, delta1 = gradient(loss, stages["z2"], stages["z1"])
    step = descend(net, loss, alpha)
    after = forward(net, x)["y_hat"]
    return {
        **stages,
        "loss": loss,
        "delta2": delta2,
        "delta1": delta1,
        **step["grads"],
        "updated": step["updated"],
        "loss_after": half_squared_error(after, y),
        "y_hat_after": after,
    }


def whole_batch(start: dict, x: mg.Tensor, y: mg.Tensor, alpha: float, share: float) -> dict:
    """One step on `share` times the loss summed over the samples."""
    net = build(**start)
    loss = share * half_squared_error(net(x), y)
    step = descend(net, loss, alpha)
    return {"loss": loss, **step, "loss_after": share * half_squared_error(net(x), y)}


def wrong_sign(start: dict, x: mg.Tensor, y: mg.Tensor, alpha: float) -> dict:
    """The step that d = y - y_hat gives under w <- w - alpha d a: it climbs the loss."""
    net = build(**start)
    loss = half_squared_error(net(x), y)
    step = descend(net, -loss, alpha)
    return {
        "updated": step["updated"],
        "loss_before": loss,
        "loss_after": half_squared_error(net(x), y),
    }


@entry("002-4.2-network-proper")
def network(x, y, w1, b1, w2, b2, alpha):
    start = {"w1": w1, "b1": b1, "w2": w2, "b2": b2}
    x, y = real(x), real(y)
    net = build(**start)
    return found(
        sample1=trace(net, x[0], y[0], alpha),
        sample2_after_sample1_step=trace(net, x[1], y[1], alpha),
        sample2_from_initial_weights=trace(build(**start), x[1], y[1], alpha),
        batch_sum=whole_batch(start, x, y, alpha, 1),
        batch_mean=whole_batch(start, x, y, alpha, 1 / len(x)),
        wrong_sign=wrong_sign(start, x[0], y[0], alpha),
    )


def proper(x, y, alpha=0.01, weight=0.5) -> dict:
    """The network of the document on one sample: all its weights and biases are 0.5."""
    matrix, vector = [[weight] * 2] * 2, [weight] * 2
    return trace(build(matrix, vector, matrix, vector), real(x), real(y), alpha)


@entry("002-3.3-batchnorm")
def batch_norm(x, eps):
    x = real(x)
    layer = nn.BatchNorm1d(x.shape[1], eps=eps, momentum=1.0).to(mg.float64)
    return found(
        output=layer(x),
        batch_mean=layer.running_mean,
        batch_var_biased=x.var(0, unbiased=False),
        batch_var_unbiased=layer.running_var,
    )


@entry("002-3.4-network")
def small_network(widths):
    layers = dense_layers(widths)
    return found(parameters=count(*layers), loss_of_uniform_prediction=uniform_loss(widths[-1]))


@entry("002-4.1.1-z")
def preactivation(w, b, a):
    a = real(a)
    one_sum = (real(w[0]) * a).sum() + b[0]
    z = linear(w, b)(a)
    return found(
        [("a layer with one unit", one_sum, linear(w[:1], b[:1])(a)[0]), ("a layer with two units", one_sum, z)],
        z=z,
    )


@entry("002-4.1.1-a")
def activation(z):
    z = real(z)
    relu, sigmoid = F.relu(z), F.sigmoid(z)
    return found(
        [("ReLU", mg.where(z > 0, z, 0.0 * z), relu), ("sigmoid", 1 / (1 + (-z).exp()), sigmoid)],
        relu=relu,
        sigmoid=sigmoid,
    )


@entry("002-4.1.1-y")
def output(x, y):
    stages = proper(x, y)
    prediction = stages["y_hat"]
    return found(
        [
            ("y is the prediction", F.relu(stages["z2"]), prediction),
            ("y is the true value of 4.1.2", real(y), prediction),
        ],
        prediction=prediction,
    )


@entry("002-4.1.2-output-error")
def output_error(x, y):
    stages = proper(x, y)
    printed = real(y) - stages["y_hat"]
    return found(
        [("w <- w - alpha dL/dw", printed, stages["delta2"])],
        printed_formula=printed,
        corrected_formula=stages["delta2"],
    )


@entry("002-4.1.2-hidden-error")
def hidden_error(x, y, w2):
    stages = proper(x, y)
    printed = real(w2)[:, 1] * stages["delta2"]
    return found(
        [("two layers, two units each", printed, stages["delta1"])],
        printed_formula=printed,
        corrected_formula=stages["delta1"],
    )


@entry("002-4.1.3-mse")
def half_sum_of_squares(y, y_hat, more_y, more_y_hat):
    printed, mean = half_squared_error(real(y_hat), real(y)), F.mse_loss(real(y_hat), real(y))
    more = real(more_y_hat), real(more_y)
    return found(
        [("two values", printed, mean), ("five values", half_squared_error(*more), F.mse_loss(*more))],
        printed_formula=printed,
        mean=mean,
    )


@entry("002-4.1.3-ce")
def cross_entropy(y, y_hat, labels, p):
    y, log_p = real(y), real(y_hat).log()
    value = F.cross_entropy(log_p.unsqueeze(0), y.unsqueeze(0))
    labels, p = real(labels), real(p)
    return found(
        [
            ("i is the class of one sample", -(y * log_p).sum(), value),
            ("i is a binary sample", -(labels * p.log()).sum(), F.binary_cross_entropy(p, labels, reduction="sum")),
        ],
        value=value,
    )


@entry("002-4.2.3-z1", "002-4.2.3-z2")
def printed_preactivation(w, a, b, x, y, stage, right_a=None):
    readings = {"bias_added_twice": linear([w], [2 * b])(real(a))[0]}
    if right_a is not None:
        readings["from_the_right_a1"] = linear([w], [b])(real(right_a))[0]
    return found(computed=linear([w], [b])(real(a))[0], consistent=proper(x, y)[stage], readings=readings)


@entry("002-4.2.3-a1", "002-4.2.3-a2", "002-4.2.3-y2")
def printed_activation(z, x, y, stage):
    return found(computed=F.relu(real(z)), consistent=proper(x, y)[stage])


@entry("002-4.2.4-d2")
def printed_output_error(y, y_hat, x):
    printed_output, target = leaf(y_hat), real(y)
    return found(
        computed=target - printed_output,
        consistent=proper(x, y)["delta2"],
        readings={"other_sign": gradient(half_squared_error(printed_output, target), printed_output)},
    )


@entry("002-4.2.4-d1")
def printed_hidden_error(relu_prime, w2, d2, right_d2, x, y):
    def back(delta):
        a1 = leaf(0.0)
        return relu_prime * gradient(linear([[w] for w in w2])(a1.reshape(1)) * real(delta), a1)

    return found(computed=back(d2), consistent=proper(x, y)["delta1"], readings={"from_the_right_d2": back(right_d2)})


@entry("002-4.2.4-w1_1", "002-4.2.4-w1_2")
def printed_first_weight(w, alpha, grad, x, y, column):
    return found(
        computed=sgd_step(w, grad, alpha),
        consistent=proper(x, y, alpha)["updated"]["W1"][0][column],
        readings={
            "alpha_ten_times_larger": sgd_step(w, grad, 10 * alpha),
            "alpha_ten_times_larger_and_sign_reversed": sgd_step(w, -grad, 10 * alpha),
        },
    )


@entry("002-4.2.4-w2_1", "002-4.2.4-w2_2")
def printed_second_weight(w, alpha, grad, x, y, column):
    return found(
        computed=sgd_step(w, grad, alpha),
        consistent=[row[column] for row in proper(x, y, alpha)["updated"]["W2"]],
        readings={"alpha_ten_times_larger": sgd_step(w, grad, 10 * alpha)},
    )


@entry("002-4.2.4-b1", "002-4.2.4-b2")
def printed_bias(b, alpha, grad, x, y, layer):
    return found(
        computed=sgd_step(b, grad, alpha),
        consistent=proper(x, y, alpha)["updated"][layer],
        readings={"alpha_ten_times_larger": sgd_step(b, grad, 10 * alpha)},
    )


def axes(x: mg.Tensor) -> str:
    """The shape of one sample as text."""
    return "x".join(map(str, x.shape[1:]))


@entry("002-5.2-convnet")
def conv_net(size, channels, kernel, pool, hidden, classes, printed_features):
    conv, pooling, flatten = nn.Conv2d(1, channels, kernel), nn.MaxPool2d(pool), nn.Flatten()
    images = mg.zeros(1, 1, size, size)
    maps = conv(images)
    pooled = pooling(maps)
    features = flatten(pooled)
    fc1, fc2 = nn.Linear(features.shape[1], hidden), nn.Linear(hidden, classes)
    as_printed = nn.Linear(printed_features, hidden)
    stages = [images, maps, pooled, features, fc1(features), fc2(fc1(features))]
    return found(
        conv1=count(conv),
        fc1_fixed=count(fc1),
        fc1_as_printed=count(as_printed),
        fc2=count(fc2),
        total_fixed=count(conv, fc1, fc2),
        total_as_printed=count(conv, as_printed, fc2),
        activations=[axes(x) for x in stages],
    )


@entry("002-5.2-conv-shape")
def flattened_size(size, kernel, pool, channels):
    def features(*layers):
        return nn.Sequential(*layers, nn.Flatten())(mg.zeros(1, 1, size, size)).shape[1]

    def conv(inputs=1, kernel=kernel, padding=0):
        return nn.Conv2d(inputs, channels, kernel, padding=padding)

    proper_size = features(conv(), nn.MaxPool2d(pool))
    return found(
        computed=proper_size,
        consistent=proper_size,
        readings={
            "two_stages": features(conv(), nn.MaxPool2d(pool), conv(channels), nn.MaxPool2d(pool)),
            "padded_and_two_pools": features(conv(padding=1), nn.MaxPool2d(pool), nn.MaxPool2d(pool)),
            "kernel_5_and_two_pools": features(conv(kernel=5), nn.MaxPool2d(pool), nn.MaxPool2d(pool)),
        },
    )


@entry("002-5.4-he-init")
def he_initialisation(fan_in, seed):
    return found(std=[he_std(width, seed) for width in fan_in])


def he_std(fan_in: int, seed: int) -> mg.Tensor:
    """kaiming_normal_ draws what normal_ draws under the same seed, times the standard deviation: their ratio is it."""
    mg.manual_seed(seed)
    unit = nn.init.normal_(real([[0.0] * fan_in]))
    mg.manual_seed(seed)
    scaled = nn.init.kaiming_normal_(real([[0.0] * fan_in]), nonlinearity="relu")
    return (unit * scaled).sum() / (unit * unit).sum()
