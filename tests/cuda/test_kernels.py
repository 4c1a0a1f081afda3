"""CUDA kernels beyond the rows of tests/ops: long rows, many blocks, lists of tensors, the random stream.

Each is run on the simulator against its reference, every load and store checked, and then plainly in three orders of
threads, which must not change a bit. `tests/cuda/test_barriers.py` takes their barriers away.
"""

import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend.array import Arrays
from minigrad.backend.devices import kernels, move
from minigrad.backend.simulated import SimArray
from minigrad.cuda import simulator
from minigrad.cuda.launches import LAUNCHES
from minigrad.kernel import KERNELS, widened
from tests.ops.inputs import same

rng = np.random.default_rng(0)
ROUNDING = {np.dtype(mg.float16): 2.0**-10, np.dtype(mg.bfloat16): 2.0**-7}  # of the last digit, either way


def numbers(*shape):
    return rng.normal(size=shape).astype(np.float32)


def blank(*shape, dtype=np.float32):
    return np.full(shape, 77, dtype)


def lists(*sizes, positive=False):
    arrays = [numbers(n) for n in sizes]
    return [np.abs(a) for a in arrays] if positive else arrays


def copies(args, place=np.copy):
    return [
        Arrays(map(place, a)) if isinstance(a, list) else place(a) if isinstance(a, np.ndarray) else a for a in args
    ]


def there(array):
    """On the simulator, its dimensions in the same order in memory."""
    order = sorted(range(array.ndim), key=lambda d: -array.strides[d])
    return move(array.transpose(order).copy(), "cuda-sim").transpose([order.index(d) for d in range(array.ndim)])


SIZES = [5, 1, 4097, 0, 300] + [2] * 60  # more chunks than one, and more tensors than a launch takes
OPTIMIZERS = [
    ("sgd_step", lists(*SIZES), None, lists(*SIZES), 0.1, 0.0, 0.0, 0.1, False, False, True),
    ("sgd_step", lists(*SIZES), lists(*SIZES), lists(*SIZES), 0.1, 0.9, 0.1, 0.0, False, True, False),
    ("sgd_step", lists(*SIZES), lists(*SIZES), lists(*SIZES), 0.1, 0.9, 0.0, 0.1, True, False, True),
    ("adagrad_step", lists(*SIZES), lists(*SIZES, positive=True), lists(*SIZES), 0.1, 0.1, 1e-8, True),
    ("rmsprop_step", lists(*SIZES), lists(*SIZES, positive=True), None, None, lists(*SIZES), 0.1, 0.9, 1e-2, 0.1, 0.0,
     False),
    ("rmsprop_step", lists(*SIZES), [9 + a for a in lists(*SIZES, positive=True)], lists(*SIZES), lists(*SIZES),
     lists(*SIZES), 0.1, 0.9, 1e-2, 0.0, 0.9, True),
    ("adam_step", lists(*SIZES), lists(*SIZES), lists(*SIZES, positive=True), None, lists(*SIZES), 3, 0.1, 0.9, 0.99,
     1e-3, 0.1, True, False, True),
    ("adam_step", lists(*SIZES), lists(*SIZES), lists(*SIZES, positive=True), lists(*SIZES, positive=True),
     lists(*SIZES), 3, 0.1, 0.9, 0.99, 1e-3, 0.1, False, True, False),
]  # fmt: skip
NORMS = [
    ("total_norm", blank(), lists(*SIZES)),
    ("clip_norm", lists(*SIZES), np.full((), 3.0, np.float32), 0.1),
    ("clip_norm", lists(*SIZES), np.full((), 0.5, np.float32), 2.0),
]
ROWS = [
    ("softmax_forward", blank(3, 1500, 1), numbers(3, 1500, 1)),
    ("softmax_forward", blank(2, 9, 3), numbers(2, 9, 3)),
    ("softmax_backward", blank(2, 9, 3), numbers(2, 9, 3), numbers(2, 9, 3)),
    ("log_softmax_forward", blank(2, 1025, 2), numbers(2, 1025, 2)),
    ("log_softmax_backward", blank(2, 1025, 2), numbers(2, 1025, 2), numbers(2, 1025, 2)),
    ("softmax_backward", blank(2, 1025, 1), numbers(2, 1025, 1), numbers(2, 1025, 1)),
    ("log_softmax_forward", blank(2, 1025, 1), numbers(2, 1025, 1)),
    ("log_softmax_backward", blank(2, 1025, 1), numbers(2, 1025, 1), numbers(2, 1025, 1)),
    ("layer_norm_forward", blank(2, 1030), blank(2), blank(2), numbers(2, 1030), numbers(1030), None, 1e-5),
    ("layer_norm_backward", blank(40, 1030), blank(1030), blank(1030), numbers(40, 1030), numbers(40, 1030),
     numbers(1030), numbers(40), numbers(40)),
    ("layer_norm_backward", blank(9, 70), None, blank(70), numbers(9, 70), numbers(9, 70), None, numbers(9),
     numbers(9)),
    ("rms_norm_forward", blank(2, 1030), blank(2), numbers(2, 1030), numbers(1030), 1e-5),
    *[("layer_norm_forward", blank(5, n), blank(5), blank(5), numbers(5, n), numbers(n), numbers(n), 1e-5)
      for n in (64, 1032, 8200)],
    *[("rms_norm_backward", blank(5, n), blank(n), numbers(5, n), numbers(5, n), numbers(n), numbers(5))
      for n in (64, 1032, 8200)],
    ("rms_norm_backward", blank(10, 1030), blank(1030), numbers(10, 1030), numbers(10, 1030), None, numbers(10)),
]  # fmt: skip
REDUCTIONS = [
    (f"{name}_forward", blank(outer, inner), *more, numbers(outer, n, inner))
    for outer, n, inner in [(3, 1100, 1), (2, 19, 70), (1, 0, 1), (2, 0, 40), (5, 7, 1)]
    for name, more in [("sum", ()), ("mean", ()), ("logsumexp", ()), ("max", (blank(outer, inner, dtype=np.int64),)),
                       ("min", (blank(outer, inner, dtype=np.int64),))]
    if n or name not in ("max", "min")
]  # fmt: skip
REDUCTIONS += [
    ("prod_forward", blank(2, 3), 1 + 0.01 * numbers(2, 50, 3)),
    ("mean_forward", blank(1, 1), numbers(1, 70000, 1)),
]
REDUCTIONS += [("var_forward", blank(o, i), blank(o, i), 3 + numbers(o, n, i), c)
               for o, n, i, c in [(3, 1100, 1, 1.0), (2, 19, 40, 0.0), (6, 5, 1, 1.0), (1, 1, 1, 1.0)]]  # fmt: skip
PRODUCTS = [
    ("matmul_forward", blank(65, 70), numbers(65, 33), numbers(33, 70), False, False),
    ("matmul_forward", blank(2, 66, 40), numbers(2, 17, 66), numbers(1, 40, 17), True, True),
    ("matmul_forward", blank(3, 5, 4), numbers(1, 5, 7), numbers(3, 7, 4), False, False),
    ("matmul_forward", blank(40, 40), numbers(19, 40), numbers(19, 40), True, False),
    ("matmul_forward", blank(40, 40), numbers(40, 19), numbers(40, 19), False, True),
    ("matmul_forward", blank(70, 20), numbers(70, 0), numbers(0, 20), False, False),
    ("linear_forward", blank(70, 65), numbers(70, 20), numbers(65, 20), numbers(65)),
    ("linear_relu_forward", blank(3, 65), numbers(3, 20), numbers(65, 20), None),
    ("linear_gelu_forward", blank(3, 65), blank(3, 65), numbers(3, 20), numbers(65, 20), numbers(65), False),
    ("linear_gelu_forward", blank(7, 5), None, numbers(7, 300), numbers(5, 300), None, True),
    ("linear_gelu_backward", blank(20, 40), blank(40), numbers(20, 40), numbers(20, 40)),
    ("linear_add_forward", blank(3, 65), numbers(3, 20), numbers(65, 20), numbers(65), numbers(3, 65)),
    ("linear_relu_backward", blank(20, 40), blank(40), numbers(20, 40), numbers(20, 40)),
    ("linear_relu_backward", blank(300, 20), blank(20), numbers(300, 20), numbers(300, 20)),
    ("linear_backward_bias", blank(40), numbers(21, 40)),
    ("linear_backward_bias", blank(5), numbers(700, 5)),
]
WINDOWS = 2, 1, 1, 2, 2, 1, 2  # strides, paddings, dilations, groups
IMAGES = [
    ("conv2d_forward", blank(2, 6, 4, 6), numbers(2, 4, 9, 4), numbers(6, 2, 3, 3), numbers(6), *WINDOWS),
    ("conv2d_backward_input", blank(2, 4, 9, 4), numbers(2, 6, 4, 6), numbers(6, 2, 3, 3), *WINDOWS),
    ("conv2d_backward_weight", blank(6, 2, 3, 3), blank(6), numbers(2, 6, 4, 6), numbers(2, 4, 9, 4), *WINDOWS),
    ("conv2d_backward_weight", blank(2, 1, 2, 2), None, numbers(3, 2, 9, 11), numbers(3, 1, 10, 12), 1, 1, 0, 0, 1, 1,
     1),
    ("max_pool2d_forward", blank(3, 4, 9), blank(3, 4, 9, dtype=np.int64), numbers(3, 9, 10), 3, 2, 2, 1, 1, 0, 1, 1),
    ("max_pool2d_backward", blank(3, 5, 4), numbers(3, 9, 10), rng.integers(0, 20, (3, 9, 10))),
    ("batch_norm_forward", blank(5, 3, 70), blank(3), blank(3), numbers(5, 3, 70), numbers(3), None, 1e-5),
    ("batch_norm_apply", blank(5, 3, 70), numbers(5, 3, 70), numbers(3), numbers(3) ** 2, None, numbers(3), 1e-5),
    ("batch_norm_backward", blank(5, 3, 70), blank(3), None, numbers(5, 3, 70), numbers(5, 3, 70), numbers(3),
     numbers(3), numbers(3) ** 2, 1e-5),
    ("batch_norm_track", numbers(300), numbers(300), numbers(300), numbers(300), 0.1, 1.5),
]  # fmt: skip
QKV = numbers(2, 3, 37, 40), numbers(2, 3, 50, 40), numbers(2, 3, 50, 20)
SEEN = blank(2, 3, 37, 20), blank(2, 3, 37, dtype=np.float64)
KERNELS["attention_forward"].reference(*SEEN, *QKV, None, 0.3, True)
HEADS = numbers(2, 5, 3, 300).swapaxes(1, 2)  # (batch, heads, rows, columns) that lie row by row
ATTENTION = [
    ("attention_forward", blank(2, 3, 37, 20), blank(2, 3, 37, dtype=np.float64), *QKV, None, 0.3, True),
    ("attention_forward", blank(2, 3, 5, 300), blank(2, 3, 5, dtype=np.float64), HEADS, HEADS, HEADS,
     np.broadcast_to(numbers(3, 1, 5), (2, 3, 5, 5)), 0.1, False),
    ("attention_backward", *map(np.zeros_like, QKV), numbers(2, 3, 37, 20), *SEEN, *QKV, None, 0.3, True),
]  # fmt: skip
INDEX = rng.integers(0, 50, 200)
OTHERS = [
    ("embedding_forward", blank(200, 45), numbers(50, 45), INDEX),
    ("embedding_backward", blank(60, 45), numbers(200, 45), INDEX),
    ("embedding_backward", blank(5000, 1), numbers(33000, 1), rng.integers(0, 5000, 33000)),
    ("embedding_backward", blank(300, 33), numbers(9000, 33), rng.integers(0, 3, 9000)),
    ("uniform_fill", blank(1025), 1234567890123, 2**40),
    ("normal_fill", blank(1025), 7, 3),
    ("dropout_forward", blank(1025), numbers(1025), 0.3, 5, 2),
    ("dropout_backward", blank(7, 9), numbers(7, 9), 1.0, 5, 0),
    ("where_forward", blank(3, 4, 5), numbers(3, 4, 5) > 0, numbers(5), numbers(3, 4, 1)),
    ("exp_forward", blank(4, 300), numbers(4, 300)),
    ("copy_forward", blank(8, 9), numbers(8, 9)),
    ("copy_forward", blank(2, 33, 40), numbers(2, 40, 33).swapaxes(1, 2)),
    ("add_forward", blank(2, 3, 2, 3, 2, 3, 2, 3), numbers(3, 1, 3, 1, 3, 1, 3), numbers(2, 1, 2, 1, 2, 1, 2, 1)),
]
LOSSES = [
    row
    for name in ("mse_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
    for row in [
        (f"{name}_forward", blank(), rng.random(9000, np.float32), rng.random(9000, np.float32), 0.1),
        (f"{name}_forward", blank(300), rng.random(300, np.float32), rng.random(300, np.float32), 1.0),
        (f"{name}_backward", blank(300), numbers(), rng.random(300, np.float32), rng.random(300, np.float32), 0.1),
        (f"{name}_backward", blank(7), numbers(7), rng.random(7, np.float32), rng.random(7, np.float32), 1.0),
    ]
]
FACTORS = 1 + 0.01 * numbers(2, 300, 1)
ZERO, ZEROS, HUGE = FACTORS.copy(), FACTORS.copy(), FACTORS.copy()
ZERO[0, 7], ZEROS[1, 7:9], HUGE[:, 150:] = 0, 0, 1e8  # one factor of 0; two; a product beyond double's range
PRODUCTS_OF_OTHERS = [
    ("prod_backward", blank(*x.shape), numbers(x.shape[0], x.shape[2]), x)
    for x in (FACTORS, ZERO, ZEROS, HUGE, ZERO.reshape(2, 100, 3), ZEROS.reshape(2, 100, 3), HUGE.reshape(2, 10, 30))
]
SCANS = [
    (name, blank(*shape), *[(1 + 0.01 * numbers(*shape) if name != "recurrence_forward" else 0.9 * numbers(*shape))
                            for _ in range(inputs)])
    for name, inputs in [("cumsum_forward", 1), ("cumsum_backward", 1), ("cumprod_forward", 1),
                         ("cumprod_backward", 3), ("recurrence_forward", 2)]
    for shape in [(2, 2500, 1), (1, 8200, 1), (3, 260, 1), (2, 31, 1), (2, 70, 35), (3, 1100, 5), (1, 1, 4)]
]  # fmt: skip
TARGETS, CODE = rng.integers(0, 7, 5000), rng.integers(0, 5, (3, 6, 4, 5)).astype(np.uint8)
TARGETS[::3] = 9  # ignored
WINDOW = 2, 1, 1, 2, 1, 2  # strides, paddings, dilations
FUSED = [
    ("nll_loss_forward", blank(), blank(dtype=np.float64), numbers(50, 7, 100), TARGETS, numbers(7) ** 2, 9),
    ("nll_loss_forward", blank(), None, numbers(5000, 7, 1), TARGETS, None, 9),
    ("nll_loss_forward", blank(5000), None, numbers(50, 7, 100), TARGETS, numbers(7), 9),
    ("nll_loss_backward", blank(50, 7, 100), numbers(), np.full((), 9.0), TARGETS, numbers(7), 9),
    ("nll_loss_backward", blank(50, 7, 100), numbers(5000), None, TARGETS, None, 9),
    ("int8_linear_forward", blank(9, 33), numbers(9, 132), rng.integers(-127, 127, (33, 132)).astype(np.int8),
     numbers(33), None),
    ("int8_linear_forward", blank(2, 5), numbers(2, 7), rng.integers(-127, 127, (5, 7)).astype(np.int8), numbers(5),
     numbers(5)),
    ("int8_linear_forward", blank(70, 66), numbers(70, 35), rng.integers(-127, 127, (66, 35)).astype(np.int8),
     numbers(66), numbers(66)),
    ("batch_norm_relu_pool_forward", blank(3, 6, 4, 5), blank(3, 6, 4, 5, dtype=np.uint8), blank(6), blank(6),
     numbers(3, 6, 9, 10), numbers(6), None, 1e-5),
    ("batch_norm_relu_pool_backward", blank(3, 6, 9, 10), blank(6), None, numbers(3, 6, 4, 5), CODE,
     numbers(3, 6, 9, 10), numbers(6), numbers(6), numbers(6) ** 2, 1e-5),
    ("conv2d_relu_pool_forward", blank(3, 6, 4, 5), blank(3, 6, 4, 5, dtype=np.uint8), numbers(3, 2, 18, 12),
     numbers(6, 2, 3, 2), numbers(6), *WINDOW),
    ("conv2d_relu_pool_backward", blank(6, 2, 3, 2), blank(6), numbers(3, 6, 4, 5), CODE, numbers(3, 2, 18, 12),
     *WINDOW),
    ("conv2d_relu_pool_spread", blank(3, 6, 9, 10), numbers(3, 6, 4, 5), CODE),
]  # fmt: skip
EQUALS, SPECIAL = rng.integers(0, 9, (2, 4099)).astype(np.float32), numbers(3, 5000)
SPECIAL[:, ::7], SPECIAL[1, ::5], SPECIAL[:, ::11], SPECIAL[2, ::3] = np.nan, np.inf, -0.0, 0.0
SORTS = [
    (name, blank(len(x), k), blank(len(x), k, dtype=np.int64), x, flag)
    for x, flag, ks in [(EQUALS, False, (3, 2048)), (numbers(1, 33000), True, ()), (SPECIAL, True, (50,)),
                        (SPECIAL, False, (1, 3000)), (numbers(3, 600), True, (9,)), (numbers(1, 1), False, (1,))]
    for name, k in [("sort_forward", x.shape[1]), *[("topk_forward", k) for k in ks]]
]  # fmt: skip
PICKED = np.array([[3, 0, -1], [0, 0, 4]])
INDEXED = [
    ("take_forward", blank(2, 3, 70), numbers(5, 70), (PICKED, Ellipsis)),
    ("take_forward", blank(4, 2, 3, 3), numbers(3, 4, 5).T.swapaxes(0, 1), (slice(None), PICKED, Ellipsis)),
    ("take_forward", blank(7), numbers(10), (np.arange(10) > 2, Ellipsis)),
    ("put_forward", numbers(5, 70), numbers(2, 3, 70), (PICKED, Ellipsis)),
    ("put_forward", numbers(5, 4, 3), numbers(1), (slice(1, 4), PICKED % 4, Ellipsis)),
    ("put_forward", numbers(10), numbers(7), (np.arange(10) > 2, Ellipsis)),
]
CASES = [
    *FUSED,
    *INDEXED,
    *SORTS,
    *SCANS,
    *LOSSES,
    *PRODUCTS_OF_OTHERS,
    *OPTIMIZERS,
    *NORMS,
    *ROWS,
    *REDUCTIONS,
    *PRODUCTS,
    *IMAGES,
    *ATTENTION,
    *OTHERS,
]
HALF_PRODUCTS = [
    (f"{name}_{dtype}", *[a.astype(dtype) if isinstance(a, np.ndarray) else a for a in args])
    for dtype in (mg.float16, mg.bfloat16)
    for name, *args in [
        ("matmul_forward", blank(2, 129, 30), numbers(2, 131, 129), numbers(1, 30, 131), True, True),
        ("matmul_forward", blank(33, 136), numbers(33, 200), numbers(200, 136), False, False),
        ("matmul_forward", blank(2, 72, 136), numbers(2, 72, 200), numbers(1, 136, 200), False, True),
        ("matmul_forward", blank(3, 4, 5), numbers(3, 4, 7), numbers(1, 7, 5), False, False),
        ("linear_forward", blank(20, 65), numbers(20, 24), numbers(65, 24), numbers(65)),
        ("linear_relu_forward", blank(9, 40), numbers(9, 24), numbers(40, 24), None),
        ("linear_add_forward", blank(20, 65), numbers(20, 24), numbers(65, 24), numbers(65), numbers(20, 65)),
    ]
]
CASES += HALF_PRODUCTS


def kernel_of(name):
    """The kernel that a body is one of: `matmul_forward` for `matmul_forward_bfloat16`."""
    return KERNELS[re.sub("_b?float16$", "", name)]


def outputs(kernel, args):
    """The arrays that a kernel has written."""
    lists = [a if isinstance(a, Arrays) else [a] for a in args[: kernel.outs]]
    return [np.asarray(a) for arrays in lists for a in arrays if a is not None]


def simulated(row, **settings):
    """The outputs of a row on the simulator."""
    name, *args = row
    found = copies(args, there)
    with mg.cuda.simulate(**settings):
        kernels(SimArray)[name](*found)
    return outputs(kernel_of(name), found)


@pytest.mark.parametrize("row", CASES, ids=lambda row: row[0])
def test_a_kernel_does_what_its_reference_does(row):
    name, *args = row
    kernel, expected = kernel_of(name), copies(args)
    widened(kernel.reference, kernel.outs)(*expected)
    found = simulated(row, mode="check")
    for i, (f, e) in enumerate(zip(found, outputs(kernel, expected), strict=True)):
        same(f, e, ROUNDING.get(e.dtype, 2e-5), 2e-6, f"{name}, output {i}")
    for order in simulator.ORDERS:
        for i, (f, e) in enumerate(zip(simulated(row, mode="fast", order=order, seed=1), found, strict=True)):
            assert f.tobytes() == e.tobytes(), f"{name}, output {i}: order {order!r} changes the bits"


def test_every_launch_function_is_tested():
    """By a row above, or by a row of tests/ops (which has each of the others by name: tests/test_layout.py)."""
    elementwise = {n for n, (stem, _) in LAUNCHES.items() if stem == "elementwise"}
    tested = {row[0] for row in CASES} | {"cross_entropy_forward", "cross_entropy_backward"} | elementwise
    assert set(LAUNCHES) - tested == set()


def test_all_sources_compile_in_both_modes():
    for stem in {stem for stem, _ in LAUNCHES.values()}:
        for mode in ("fast", "check"):
            assert simulator.load_file(stem, mode).signatures
