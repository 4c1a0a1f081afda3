"""unary: elementwise functions of one tensor, which can only be as fast as memory."""

from benchmarks.ops import Op

LARGE, SMALL = (2048, 768), (64, 256)


def named(name, values=(-1.0, 1.0)):
    return lambda shape: Op(name, lambda fw, x: getattr(fw, name)(x), [shape], values=values)


def gelu(shape, approximate="none"):
    name = "gelu" if approximate == "none" else "gelu(tanh)"
    return Op(name, lambda fw, x: fw.nn.functional.gelu(x, approximate=approximate), [shape], values=(-3.0, 3.0))


ROWS = [named(name)(shape) for name in ("relu", "sigmoid", "tanh", "exp") for shape in (LARGE, SMALL)]
ROWS += [gelu(LARGE), gelu(SMALL), gelu(LARGE, "tanh")]
ROWS += [Op("silu", lambda fw, x: fw.nn.functional.silu(x), [LARGE], values=(-3.0, 3.0))]
ROWS += [named(name, (0.1, 2.0))(LARGE) for name in ("abs", "neg", "log", "sqrt", "erf")]
ROWS += [
    Op("clamp", lambda fw, x: x.clamp(-0.5, 0.5), [LARGE]),
    Op("pow(3)", lambda fw, x: x**3, [LARGE]),
    Op("sign", lambda fw, x: fw.sign(x), [LARGE], grad=False),
]
