"""optim_step: an optimizer's step over the parameters of the MLP, and over one large parameter."""

from benchmarks.ops import Step

MLP = [(256, 784), (256,), (128, 256), (128,), (10, 128), (10,)]
LARGE, SMALL = [(10_000_000,)], [(50, 10), (50,), (10, 50), (10,)]
KINDS = {  # floats moved for each parameter: it and its averages are read and written, its gradient is read
    "SGD": ({"lr": 0.01, "momentum": 0.9}, 5),
    "Adam": ({"lr": 0.001}, 7),
    "AdamW": ({"lr": 0.001}, 7),
    "RMSprop": ({"lr": 0.001}, 5),
    "Adagrad": ({"lr": 0.001}, 5),
}


def make(kind, shapes, options):
    def of(fw):
        parameters = [fw.ones(*shape).requires_grad_() for shape in shapes]
        for p in parameters:
            p.grad = fw.ones(*p.shape)
        return getattr(fw.optim, kind)(parameters, **options).step

    return of


def fused_in_torch(shapes):
    """Ours against PyTorch's fused form of Adam, which is not its default."""
    return lambda fw: make("Adam", shapes, {"lr": 0.001} | ({"fused": True} if fw.__name__ == "torch" else {}))(fw)


def elements(shapes):
    return sum(s[0] * (s[1] if len(s) > 1 else 1) for s in shapes)


ROWS = [
    Step(f"{kind}.step, {name}", make(kind, shapes, options), moved * elements(shapes))
    for kind, (options, moved) in KINDS.items()
    for name, shapes in (("the MLP's 235k in 6", MLP), ("10M in 1", LARGE), ("1k in 4", SMALL))
    if shapes is MLP or kind in ("SGD", "Adam")
]
ROWS += [
    Step(f"Adam.step against fused=True, {name}", fused_in_torch(shapes), 7 * elements(shapes))
    for name, shapes in (("the MLP's 235k in 6", MLP), ("10M in 1", LARGE))
]
