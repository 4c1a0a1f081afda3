"""Products by cuBLAS on a stand-in for CuPy's binding of it: what is asked for, and when it is not."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.nn import functional as F
from tests.cuda import fake_blas, fake_cupy, stand_in

SHAPES = [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((1, 7), (7, 1)), ((5, 2, 2, 3), (2, 3, 4))]


@pytest.fixture
def blas(monkeypatch):
    with stand_in.installed():
        binding = fake_blas.install(monkeypatch)
        yield binding


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [mg.float32, mg.float16, mg.bfloat16], ids=str)
def test_products(blas, shapes, dtype):
    a, b = (mg.randn(*s).to(dtype) for s in shapes)
    found = (a.cuda() @ b.cuda()).cpu()
    expected = a.float() @ b.float()
    tolerance = {"float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[dtype.name]
    np.testing.assert_allclose(found.float().numpy(), expected.numpy(), tolerance, tolerance)
    assert blas.calls and found.dtype == dtype


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_no_layout_is_copied(blas, transposed, batch):
    a, b = mg.randn(*batch, 4, 5), mg.randn(*batch, 5, 6)
    stored = [x.mT.contiguous() if t else x for x, t in zip((a, b), transposed, strict=True)]
    there = [x.cuda().mT if t else x.cuda() for x, t in zip(stored, transposed, strict=True)]
    fake_cupy.launched.clear()
    found = there[0] @ there[1]
    np.testing.assert_allclose(found.cpu().numpy(), (a @ b).numpy(), 1e-5, 1e-5)
    (name, ops, sizes, count) = blas.calls[-1]
    assert name == ("batched" if batch else "gemmEx") and sizes == (6, 4, 5) and count == (3 if batch else 1)
    assert ops == (int(transposed[1]), int(transposed[0])) and not fake_cupy.launched


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [mg.float32, mg.float16], ids=str)
def test_linear_layers_and_their_gradients(blas, bias, dtype):
    def run(device):
        mg.manual_seed(0)
        model = mg.nn.Sequential(mg.nn.Linear(6, 8, bias), mg.nn.ReLU(), mg.nn.Linear(8, 3, bias)).to(dtype).to(device)
        x = mg.randn(5, 6).to(dtype).to(device).requires_grad_()
        y = model(x)
        (y.float() ** 2).sum().backward()
        return [t.detach().cpu().float().numpy() for t in (y, x.grad, *(p.grad for p in model.parameters()))]

    there = run("cuda")
    assert len(blas.calls) == 6  # two forward, four for the gradients
    for found, expected in zip(there, run("cpu"), strict=True):
        np.testing.assert_allclose(found, expected, *((1e-5, 1e-5) if dtype == mg.float32 else (2e-2, 2e-2)))


def test_a_residual_is_added_by_the_product(blas):
    x, w, bias, other = (mg.randn(*s).half() for s in ((4, 6), (3, 6), (3,), (4, 3)))
    there = mg.ops.linear_fused.linear_add(*(t.cuda() for t in (x, w, other, bias)))
    expected = (F.linear(x, w, bias) + other).float().numpy()
    np.testing.assert_allclose(there.cpu().float().numpy(), expected, 1e-2, 1e-2)
    assert len(blas.calls) == 1


@pytest.mark.parametrize("shapes", [((0, 4), (4, 5)), ((3, 0), (0, 5)), ((0, 3, 4), (0, 4, 5))], ids=str)
def test_nothing_is_asked_of_it_for_nothing(blas, shapes):
    a, b = (mg.ones(*s) for s in shapes)
    assert (a.cuda() @ b.cuda()).tolist() == (a @ b).tolist() and blas.calls == []


def test_our_rungs_where_they_are_asked_for(blas):
    a = mg.randn(4, 4).cuda()
    with mg.cuda.use_matmul("tiled"):
        a @ a
    assert blas.calls == []
    with mg.cuda.use_matmul("cublas"):
        a @ a
    assert len(blas.calls) == 1


def test_halves_that_begin_anywhere_are_ours(blas):
    a = mg.randn(5, 4).half().cuda()
    np.testing.assert_allclose((a[1:] @ a.mT).cpu().float().numpy(), (a[1:].cpu() @ a.cpu().mT).float().numpy(), 1e-2)
    assert blas.calls == []


def test_without_cublas_the_rungs_do(monkeypatch):
    with stand_in.installed():
        monkeypatch.setattr("minigrad.cuda.blas.binding", lambda: None)
        a = mg.randn(4, 4)
        np.testing.assert_allclose((a.cuda() @ a.cuda()).cpu().numpy(), (a @ a).numpy(), 1e-5, 1e-5)
        assert fake_cupy.launched[-1][0].startswith("matmul_forward")
