"""rivals: PyTorch with one thread and with as many as we use, torch.compile, and the MLP's step in numpy and in JAX.

The opponent of a row is PyTorch eager with its better number of threads; the others are printed beside it.
"""

import numpy as np

import minigrad as mg
from benchmarks import measure
from benchmarks.measure import Contender

compiling = False  # set by --compile: it takes half a minute for each workload


def eager(torch, call, name="torch"):
    """Name -> Contender: PyTorch's call with one thread and with ours."""
    if measure.device and torch:
        return {f"{name}, eager": call}
    counts = sorted({1, mg.get_num_threads()}) if torch else ()
    return {f"{name}, {n} thread{'s'[: n > 1]}": at(torch, n, call) for n in counts}


def at(torch, n, call):
    return Contender(call, lambda: torch.get_num_threads() == n or torch.set_num_threads(n))


def compiled(torch, model, make):
    """The same with the model compiled; `make` turns a model into a call. Nothing where no compiler works."""
    if not (torch and compiling):
        return {}
    torch.set_num_threads(mg.get_num_threads())
    try:
        call = make(torch.compile(model))
        call()
    except Exception as error:
        print(f"torch.compile does not work here: {type(error).__name__}")
        return {}
    return eager(torch, call, "torch.compile")


# The MLP's step with SGD, by hand -------------------------------------------------------------------------------------


def matrices(model):
    """[weight, bias, weight, bias, ...] as arrays of their own."""
    return [p.detach().numpy().copy() for p in model.parameters()]


def mlp_numpy(model, x, target, lr=0.01, momentum=0.9):
    """The step in plain numpy; it returns the loss."""
    parameters = matrices(model)
    velocities = [np.zeros_like(p) for p in parameters]
    rows = np.arange(len(x))

    def step():
        inputs = [x]
        for w, b in zip(parameters[0:-2:2], parameters[1:-2:2], strict=True):
            inputs.append(np.maximum(inputs[-1] @ w.T + b, 0))
        logits = inputs[-1] @ parameters[-2].T + parameters[-1]
        e = np.exp(logits - logits.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        loss = -np.log(p[rows, target]).mean()
        p[rows, target] -= 1
        delta = p / np.float32(len(x))
        for i in reversed(range(len(inputs))):
            grads = delta.T @ inputs[i], delta.sum(0)
            delta = (delta @ parameters[2 * i]) * (inputs[i] > 0) if i else None
            for j, g in enumerate(grads, 2 * i):
                velocities[j] *= momentum
                velocities[j] += g
                parameters[j] -= np.float32(lr) * velocities[j]
        return loss

    return step


def mlp_jax(model, x, target, lr=0.01, momentum=0.9):
    """The step in JAX, jitted; None where JAX is not installed."""
    try:
        import jax
    except ImportError:
        return None
    jnp, x, target = jax.numpy, jax.numpy.asarray(x), jax.numpy.asarray(target)

    def loss_of(parameters):
        h = x
        for i in range(0, len(parameters) - 2, 2):
            h = jax.nn.relu(h @ parameters[i].T + parameters[i + 1])
        logs = jax.nn.log_softmax(h @ parameters[-2].T + parameters[-1])
        return -jnp.take_along_axis(logs, target[:, None], 1).mean()

    @jax.jit
    def update(parameters, velocities):
        loss, grads = jax.value_and_grad(loss_of)(parameters)
        velocities = [momentum * v + g for v, g in zip(velocities, grads, strict=True)]
        return loss, [p - lr * v for p, v in zip(parameters, velocities, strict=True)], velocities

    state = [[jnp.asarray(p) for p in matrices(model)], [jnp.zeros(p.shape) for p in model.parameters()]]

    def step():
        loss, *state[:] = update(*state)
        return loss.block_until_ready()

    return step


def by_hand(model, arrays):
    """Name -> the MLP's step with SGD without a framework of ours or PyTorch's."""
    steps = {"numpy": mlp_numpy(model, *arrays), "jax": mlp_jax(model, *arrays)}
    return {name: step for name, step in steps.items() if step}
