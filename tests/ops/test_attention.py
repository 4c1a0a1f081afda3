"""scaled_dot_product_attention."""

import math

import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.nn import functional as F
from tests.ops.harness import TIERS, Case, check
from tests.ops.inputs import beside

attention = F.scaled_dot_product_attention


def expected(q, k, v, mask=None, causal=False, scale=None):
    """The definition; a row that sees no key gives zeros."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    s = q @ k.swapaxes(-1, -2) * scale
    if mask is not None:
        s = np.where(mask, s, -np.inf) if mask.dtype == bool else s + mask
    if causal:
        s = np.where(np.tri(*s.shape[-2:], dtype=bool), s, -np.inf)
    e = np.where(np.isneginf(s), 0, np.exp(s))
    total = e.sum(-1, keepdims=True)
    return e / np.where(total == 0, 1, total) @ v


def bools(*shape, dead=()):
    """A mask, True for most; no key at all for the rows in `dead`."""

    def make(rng):
        mask = rng.random(shape) < 0.7
        mask[..., 0] = True
        mask[..., list(dead), :] = False
        return mask

    return make


def row(
    name, shapes, numpy=expected, drawn=None, kernels=("attention_forward", "attention_backward"), ulps=4, **options
):
    def function(q, k, v, mask=None):
        return attention(q, k, v, mask, **options)

    def torch(torch, q, k, v, mask=None):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, **options)

    known = {"causal": options.get("is_causal", False), "scale": options.get("scale")}
    return Case(
        name,
        function,
        shapes,
        drawn=drawn,
        numpy=lambda *arrays: numpy(*arrays, **known),
        torch=torch,
        kernels=kernels,
        rtol=2e-5,
        atol=1e-5,
        ulps=ulps,
        extremes=False,
    )


def qkv(*batch, L=4, S=5, E=3, V=6):
    return (*batch, L, E), (*batch, S, E), (*batch, S, V)


@st.composite
def drawn(draw):
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    sizes = {name: draw(st.integers(0 if name in "LS" else 1, 6)) for name in ("L", "S", "E", "V")}
    return qkv(*batch, **sizes)


PLAIN = [qkv(), qkv(2), qkv(2, 3), qkv(1, L=1, S=1, E=1, V=1), qkv(2, L=0), qkv(2, S=0), qkv(S=0), qkv(0), qkv(2, L=3)]
LARGE = [qkv(3, 3, L=130, S=70, E=17, V=9), qkv(1, L=300, S=301, E=8, V=8), qkv(12, L=57, S=200, E=4, V=40)]
MASKED = [
    (*qkv(2, 3), bools(*shape)) for shape in ((4, 5), (2, 3, 4, 5), (2, 1, 1, 5), (3, 1, 5), (1, 5), (2, 1, 4, 1))
]
MASKED_LARGE = [(*LARGE[0], bools(3, 1, 130, 70, dead=(0, 77))), (*LARGE[0], bools(3, 1, 1, 70))]

CASES = [
    row("plain", PLAIN + LARGE, drawn=drawn()),
    row("causal", PLAIN + LARGE, drawn=drawn(), is_causal=True),
    row("scale", [qkv(2)], scale=0.3),
    row("negative scale", [qkv(2)], scale=-2.0),
    row("scale 0", [qkv(2)], scale=0.0),
    row("bool mask", MASKED + MASKED_LARGE),
    row(
        "rows that see nothing", [(*qkv(2, 3), bools(4, 5, dead=(1, 3))), (*qkv(2), bools(1, 4, 5, dead=(0, 1, 2, 3)))]
    ),
    row("a mask of numbers", [(*qkv(2, 3), s) for s in ((4, 5), (2, 1, 4, 5), (1, 5))], kernels=(), ulps=10),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_row(case):
    check(case)


@pytest.mark.parametrize("shape", [(4, 5), (2, 1, 1, 5), (3, 4, 1), (2, 3, 4, 5)])
def test_constant_masks_of_numbers(shape):
    mask = np.random.default_rng(0).uniform(-2, 2, shape).astype(np.float32).astype(np.float64)
    mask.reshape(-1)[0] = -np.inf
    case = row("constant", [qkv(2, 3)], numpy=lambda q, k, v, **_: expected(q, k, v, mask))
    check(Case(**{**vars(case), "function": lambda *a: attention(*a, beside(a[0], mask)), "torch": None}))


# Batches and heads ---------------------------------------------------------------------------------------------------

BROADCAST = [
    ((1, 3, 4, 2), (2, 1, 5, 2), (5, 6)),
    ((3, 4, 2), (5, 2), (3, 5, 6)),
]
HEADS = [((2, 6, 4, 2), (2, 3, 5, 2), (2, 3, 5, 6)), ((4, 3, 2), (1, 5, 2), (2, 5, 2))]


def test_batches_are_broadcast():
    check(row("broadcast", BROADCAST))


def test_heads_are_repeated():
    def numpy(q, k, v, **_):
        return expected(q, *[x.repeat(q.shape[-3] // x.shape[-3], -3) for x in (k, v)])

    check(row("enable_gqa", HEADS, numpy=numpy, enable_gqa=True))


# Dropout -------------------------------------------------------------------------------------------------------------


def test_dropout_falls_on_the_probabilities():
    def function(q, k, v):
        mg.manual_seed(4)
        return attention(q, k, v, dropout_p=0.3, is_causal=True)

    def numpy(q, k, v):
        mg.manual_seed(4)
        kept = mg.rand(2, 4, 5).numpy().astype(np.float64) >= 0.3
        return expected(q, k, np.broadcast_to(np.eye(5), (2, 5, 5)), causal=True) * kept / 0.7 @ v

    check(Case("dropout", function, [qkv(2)], numpy=numpy, rtol=1e-5, atol=1e-5, ulps=10, extremes=False))
    assert not attention(*map(mg.ones, qkv(2)), dropout_p=1.0).numpy().any()


# Where the definition has its ends -----------------------------------------------------------------------------------


@TIERS
def test_scores_of_any_size(tier):
    q, v = np.full((1, 3, 4), 100, np.float32), np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    k = np.array([[[1e3], [0], [-1e3]]], np.float32).repeat(4, -1)
    with mg.tier(tier):
        y = attention(mg.tensor(q), mg.tensor(k), mg.tensor(v)).numpy()
    np.testing.assert_array_equal(y, v[:, :1].repeat(3, 1))


@TIERS
def test_nan_stays_in_its_row(tier):
    q = mg.ones(2, 70, 4)
    q.array[1, 65] = np.nan
    with mg.tier(tier):
        y = attention(q, mg.ones(2, 70, 4), mg.ones(2, 70, 3)).numpy()
    assert np.isnan(y[1, 65]).all() and np.isnan(y).sum() == 3


@TIERS
def test_a_row_that_sees_nothing_has_no_gradient(tier):
    tensors = [
        mg.tensor(x, requires_grad=True) for x in np.random.default_rng(0).standard_normal((3, 2, 4, 4), np.float32)
    ]
    mask = mg.tensor([[True] * 4, [False] * 4, [True] * 4, [True] * 4])
    with mg.tier(tier):
        y = attention(*tensors, mask)
        y.sum().backward()
    assert not y.detach().numpy()[:, 1].any() and not tensors[0].grad.numpy()[:, 1].any()
    assert all(np.isfinite(x.grad.numpy()).all() for x in tensors)


def test_causal_and_mask_say_the_same():
    q, k, v = mg.randn(2, 9, 4), mg.randn(2, 7, 4), mg.randn(2, 7, 3)
    triangle = mg.tensor(np.tri(9, 7, dtype=bool))
    np.testing.assert_allclose(
        attention(q, k, v, is_causal=True).numpy(), attention(q, k, v, triangle).numpy(), rtol=1e-6
    )


Q, K, V = map(mg.ones, qkv(2, 3))
ERRORS = [
    ((Q, mg.ones(2, 3, 5, 7), V), {}, RuntimeError, r"found query \(2, 3, 4, 3\), key \(2, 3, 5, 7\)"),
    ((Q, K, mg.ones(2, 3, 6, 6)), {}, RuntimeError, r"expected \(..., L, E\), \(..., S, E\) and \(..., S, Ev\)"),
    ((Q, K.double(), V), {}, RuntimeError, r"must have one dtype, found float32, float64 and float32"),
    ((mg.ones(3), K, V), {}, RuntimeError, r"expected at least 2 dimensions in each"),
    ((Q.long(), K.long(), V.long()), {}, RuntimeError, r"query must be floating, found int64"),
    ((Q, K, [1.0]), {}, TypeError, r"value must be a Tensor, found list"),
    ((mg.ones(4, 3, 4, 3), K, V), {}, RuntimeError, r"shapes \(4, 3\) and \(2, 3\) and \(2, 3\) do not broadcast"),
    ((Q, K, V, mg.ones(3, 5).bool()), {}, RuntimeError, r"shapes \(3, 5\) and \(2, 3, 4, 5\) do not broadcast"),
    ((Q, K, V, mg.ones(7, 2, 3, 4, 5)), {}, RuntimeError, r"attn_mask has shape \(7, 2, 3, 4, 5\), which does not"),
    ((Q[:1], K[:1], V[:1], mg.ones(2, 1, 4, 5)), {}, RuntimeError, r"does not broadcast to \(1, 3, 4, 5\)"),
    ((Q, K, V, mg.ones(4, 5).long()), {}, RuntimeError, r"attn_mask must be bool or float32, found int64"),
    ((Q, K, V, mg.ones(4, 5).bool()), {"is_causal": True}, RuntimeError, r"both attn_mask and is_causal=True"),
    ((Q, K, V), {"dropout_p": 1.5}, RuntimeError, r"dropout_p must lie in \[0, 1\], found 1.5"),
    ((mg.ones(2, 5, 4, 3), K, V), {"enable_gqa": True}, RuntimeError, r"5 query heads are no multiple of 3 heads"),
    ((Q[0, 0], K[0, 0], V[0, 0]), {"enable_gqa": True}, IndexError, r"enable_gqa needs a dimension of heads"),
]


@pytest.mark.parametrize(("args", "options", "error", "message"), ERRORS)
def test_errors(args, options, error, message):
    with pytest.raises(error, match=message):
        attention(*args, **options)
