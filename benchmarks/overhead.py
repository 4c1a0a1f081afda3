"""overhead: the Python price of an op with its graph node, over the array work alone.

The rows "over numpy's" are our whole op minus numpy's own multiplication of the same arrays: what Tensor, dispatch and
node cost.
"""

import numpy as np

import minigrad as mg
from benchmarks import measure, rivals
from benchmarks.measure import Contender, burst, contest, row_of

OPS = {
    "x * y, 8 elements, with node": lambda fw, x, y: x * y,
    "x + 1.0, 8 elements, with node": lambda fw, x, y: x + 1.0,
    "relu(x), 8 elements, with node": lambda fw, x, y: fw.relu(x),
    "x.sum(), 8 elements, with node": lambda fw, x, y: x.sum(),
}


def rows(torch):
    arrays = [np.random.default_rng(0).standard_normal(8).astype(np.float32) for _ in range(2)]
    x, y = (mg.tensor(a, requires_grad=True) for a in arrays)
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays] if torch else []
    for name, op in OPS.items():
        others = rivals.eager(torch, lambda op=op: op(torch, *theirs))
        yield from contest("overhead", name, {"": lambda op=op: op(mg, x, y)}, others)
    yield over_numpy("x * y over numpy's", lambda: x * y, arrays)
    with mg.no_grad():
        yield over_numpy("x * y over numpy's, no_grad", lambda: x * y, arrays)
    module = mg.nn.Identity()
    yield from contest("overhead", "Module.__call__ of Identity", {"": lambda: module(x)}, module_call(torch))


def module_call(torch):
    if not torch:
        return {}
    module, x = torch.nn.Identity(), torch.ones(8)
    return rivals.eager(torch, lambda: module(x))


def over_numpy(name, ours, arrays):
    """The difference to numpy's time, round by round."""
    contenders = Contender(ours), Contender(lambda: arrays[0] * arrays[1])
    extra = [np.subtract(*map(burst, contenders)) for _ in range(max(4, measure.effort.most))]
    return row_of("overhead", name, "us", extra)
