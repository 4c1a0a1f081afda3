"""scaled_dot_product_attention: heads of the workloads, causal and not, and one query over a cache."""

from benchmarks.ops import Op


def row(batch, heads, length, width, causal, queries=None, grad=True):
    call = lambda fw, q, k, v: fw.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)  # noqa: E731
    queries = queries or length
    flops = 4 * batch * heads * queries * length * width // (2 if causal else 1)
    keys = (batch, heads, length, width)
    name = "attention, causal" if causal else "attention"
    return Op(name, call, [(batch, heads, queries, width), keys, keys], flops=flops, grad=grad)


ROWS = [
    row(16, 6, 128, 32, causal=True),
    row(8, 4, 128, 64, causal=False),
    row(1, 12, 1024, 64, causal=True),
    row(1, 12, 1024, 64, causal=False, queries=1, grad=False),
    row(1, 2, 16, 8, causal=True),
]
