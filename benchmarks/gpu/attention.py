"""attention: forward, and forward and backward, against each of PyTorch's backends that takes the shape; float32 and
bfloat16, heads of 64 and 128, causal and not. Operations are counted without what a causal mask leaves out."""

import minigrad as mg
from benchmarks.gpu.kernels import drawn
from benchmarks.measure import Work

BACKENDS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH")


def shapes(place):
    if not place.real:
        return [(1, 2, 16, 8, True)]
    return [(4, 16, n, width, causal) for width in (64, 128) for n in (1024, 2048, 4096) for causal in (True, False)]


def rows(place, torch):
    for shape in shapes(place):
        for dtype in ("bfloat16", "float32"):
            yield from shape_rows(place, torch, dtype, *shape)


def shape_rows(place, torch, dtype, batch, heads, length, width, causal):
    arrays = [drawn((batch, heads, length, width), seed) for seed in range(4)]
    name = f"attention {dtype} {batch}x{heads}x{length}x{width}{', causal' if causal else ''}"
    flops = 4 * batch * heads * length * length * width // (2 if causal else 1)
    ours = Attention(mg, [mg.tensor(a).to(place.name).to(getattr(mg, dtype)) for a in arrays], causal)
    theirs = rivals(place, torch, dtype, arrays, causal)
    for what, times in (("forward", 1), ("both", 3.5)):
        found = place.contest(
            "attention", f"{name}, {what}", {"": getattr(ours, what)},
            {f"torch, {k}": getattr(v, what) for k, v in theirs.items()}, work=Work(flops=times * flops),
        )  # fmt: skip
        yield from found


class Attention:
    """The op on one framework's tensors q, k, v, and the gradient of its output."""

    def __init__(self, fw, tensors, causal, context=None):
        *inputs, self.dy = tensors
        self.fw, self.causal, self.context = fw, causal, context
        self.inputs = [x.detach().requires_grad_() for x in inputs]

    def run(self):
        return self.fw.nn.functional.scaled_dot_product_attention(*self.inputs, is_causal=self.causal)

    def forward(self):
        with self.fw.no_grad():
            return self.in_context(self.run)

    def both(self):
        for x in self.inputs:
            x.grad = None
        self.in_context(lambda: self.run().backward(self.dy))

    def in_context(self, call):
        if self.context is None:
            return call()
        with self.context():
            return call()


def rivals(place, torch, dtype, arrays, causal):
    """Backend -> PyTorch's attention by it, for those that run."""
    found = {}
    if not (torch and place.real):
        return found
    from torch.nn.attention import SDPBackend, sdpa_kernel

    for name in BACKENDS:
        tensors = [torch.tensor(a, device="cuda").to(getattr(torch, dtype)) for a in arrays]
        backend = getattr(SDPBackend, name, None)
        rival = Attention(torch, tensors, causal, lambda backend=backend: sdpa_kernel(backend))
        try:
            rival.both()
            found[name] = rival
        except (RuntimeError, TypeError) as error:
            print(f"{name} does not take {dtype} {arrays[0].shape}: {str(error)[:100]}", flush=True)
    return found
