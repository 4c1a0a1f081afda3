"""overhead: the Python price of an op with its graph node, over the array work alone.

The row "x * y over numpy" is our whole op minus numpy's own multiplication of the same arrays: what Tensor, dispatch
and node cost.
"""

import numpy as np

import minigrad as mg
from benchmarks.measure import Row, burst, duel


def rows(torch):
    arrays = [np.random.default_rng(0).standard_normal(8).astype(np.float32) for _ in range(2)]
    x, y = (mg.tensor(a, requires_grad=True) for a in arrays)
    ops = {
        "x * y, 8 elements, with node": (lambda: x * y, lambda a, b: a * b),
        "x + 1.0, 8 elements, with node": (lambda: x + 1.0, lambda a, b: a + 1.0),
        "relu(x), 8 elements, with node": (lambda: mg.relu(x), lambda a, b: a.relu()),
    }
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays] if torch else []
    for name, (ours, other) in ops.items():
        rivals = {"torch": lambda other=other: other(*theirs)} if torch else {}
        yield duel("overhead", name, ours, rivals)
    yield over_numpy("x * y over numpy's", lambda: x * y, lambda: arrays[0] * arrays[1])
    with mg.no_grad():
        yield over_numpy("x * y over numpy's, no_grad", lambda: x * y, lambda: arrays[0] * arrays[1])


def over_numpy(name, ours, numpys, bursts=25):
    """The difference to numpy's time, burst by burst."""
    extra = sorted((burst(ours) - burst(numpys)) * 1e6 for _ in range(bursts))
    return Row("overhead", name, "us", extra[bursts // 2], extra[bursts // 4], extra[3 * bursts // 4])
