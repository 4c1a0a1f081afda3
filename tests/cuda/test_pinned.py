"""Pinned memory, copies that are not waited for, and batches that are copied ahead, on the stand-in for CuPy."""

import gc

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import pinned
from minigrad.cuda import availability
from minigrad.utils.data import DataLoader, TensorDataset, prefetch
from tests.cuda import fake_cupy, fake_pinned, stand_in

VALUES = np.arange(24, dtype=np.float32).reshape(8, 3)


@pytest.fixture
def cupy(monkeypatch):
    with stand_in.installed():
        fake_pinned.install(monkeypatch)
        monkeypatch.setattr(pinned, "_held", type(pinned._held)())
        yield fake_cupy


def stream():
    return fake_cupy.Stream.current[-1]


def test_tensors_are_pinned_once(cupy):
    x = mg.tensor(VALUES)
    y = x.pin_memory()
    assert y.is_pinned() and not x.is_pinned() and y.pin_memory() is y and y[1:].is_pinned()
    assert y.tolist() == x.tolist() and y.device == "cpu" and (y + 1).tolist() == (x + 1).tolist()
    for dtype in (mg.float16, mg.bfloat16, mg.int64, mg.bool):
        assert x.to(dtype).pin_memory().tolist() == x.to(dtype).tolist()
    assert mg.zeros(0, 3).pin_memory().shape == (0, 3)
    with pytest.raises(RuntimeError, match=r"\[pin_memory\] the tensor is on cuda, expected the CPU"):
        x.cuda().pin_memory()


def test_copies_from_pinned_memory_are_not_waited_for(cupy):
    cupy.counts["synchronisations"] = 0
    x = mg.tensor(VALUES).pin_memory()
    y, z = x.to("cuda", non_blocking=True), x.cuda(non_blocking=True)
    assert len(stream().queue) == 2 and stream().ran == 0 and np.isnan(y.array.held).all()
    stream().run(2)
    assert y.tolist() == z.tolist() == VALUES.tolist()


def test_what_is_not_pinned_is_copied_at_once(cupy):
    x = mg.tensor(VALUES)
    for given in (x, x.pin_memory()[:, ::2]):
        assert given.to("cuda", non_blocking=True).tolist() == given.tolist() and not stream().queue
    assert x.pin_memory().to("cuda").tolist() == VALUES.tolist() and not stream().queue
    assert x.to("cuda-sim", non_blocking=True).tolist() == VALUES.tolist()


def test_what_is_copied_is_held_until_it_has_been(cupy, monkeypatch):
    def late(hold):
        monkeypatch.setattr(pinned, "hold", hold)
        y = mg.tensor(VALUES).pin_memory().to("cuda", non_blocking=True)
        gc.collect()
        stream().run(len(stream().queue))
        return y.cpu().numpy()

    np.testing.assert_array_equal(late(pinned.hold), VALUES)
    assert (late(lambda *_: None) != VALUES).any()  # the fault: memory that is let go too early
    assert len(pinned._held) == 1
    monkeypatch.undo()


def test_gradients_come_back(cupy):
    x = mg.tensor(VALUES, requires_grad=True)
    y = x.to("cuda", non_blocking=True)
    (y * y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * VALUES)


def test_a_loader_pins_its_batches(cupy):
    data = TensorDataset(mg.tensor(VALUES), mg.arange(8))
    batches = list(DataLoader(data, batch_size=3, pin_memory=True))
    assert [type(b) for b in batches] == [list] * 3 and all(t.is_pinned() for b in batches for t in b)
    assert [t.tolist() for b in batches for t in b] == [t.tolist() for b in DataLoader(data, batch_size=3) for t in b]
    named = DataLoader([{"x": mg.ones(2), "name": "a"}], pin_memory=True)
    (batch,) = named
    assert batch["x"].is_pinned() and batch["name"] == ["a"]


def test_without_a_gpu_a_loader_warns_and_goes_on(monkeypatch):
    monkeypatch.setattr(availability, "_found", lambda: (0, "CuPy is not installed"))
    loader = DataLoader(TensorDataset(mg.ones(2)), pin_memory=True)
    with pytest.warns(UserWarning, match=r"pin_memory=True has no effect: CuPy is not installed"):
        assert [x.tolist() for (x,) in loader] == [[1.0], [1.0]]
    with pytest.raises(RuntimeError, match=r"\[pin_memory\] there is no GPU: CuPy is not installed"):
        mg.ones(2).pin_memory()
    with pytest.raises(RuntimeError, match=r"\[prefetch\] device 'gpu' is not available"):
        prefetch(loader, "gpu")


def batches(n=5):
    return [(mg.full((4,), float(i)), {"y": mg.arange(2) + i, "name": str(i)}) for i in range(n)]


def test_batches_are_copied_ahead(cupy):
    cupy.counts["synchronisations"], seen, made = 0, [], []
    source = (made.append(i) or b for i, b in enumerate(batches()))
    for x, rest in prefetch(source, "cuda"):
        assert x.device == rest["y"].device == "cuda" and len(made) == min(5, len(seen) + 2)
        seen.append((x.array.held.copy(), rest["y"].array.held.copy(), rest["name"]))
    assert cupy.counts["synchronisations"] == 0
    for i, (x, y, name) in enumerate(seen):
        assert (x.tolist(), y.tolist(), name) == ([float(i)] * 4, [i, i + 1], str(i))


@pytest.mark.parametrize("fault", ["wait", "begin"])
def test_both_streams_wait_for_each_other(cupy, monkeypatch, fault):
    """Copies wait for what computes in their memory, and what computes for copies."""
    waits = []
    monkeypatch.setattr(fake_pinned.Stream, "wait_event", lambda s, e: (waits.append((s, e.stream)), e.happen()))
    list(prefetch(batches(3), "cuda"))
    copies = next(s for s, _ in waits if s is not stream())
    assert waits.count((copies, stream())) == 3 and waits.count((stream(), copies)) == 4
    monkeypatch.setattr(pinned.Ahead, fault, lambda *_: None)
    waits.clear()
    list(prefetch(batches(3), "cuda"))
    assert len(waits) == {"wait": 3, "begin": 4}[fault]


def test_a_loop_that_is_left_waits_for_its_copies(cupy, monkeypatch):
    waited = []
    monkeypatch.setattr(pinned.Ahead, "wait", lambda ahead, event: waited.append(event) or event.happen())
    loop = prefetch(batches(3), "cuda")
    next(loop)
    copies = waited[0].stream
    assert copies.ran < len(copies.queue)  # of the second batch
    loop.close()
    assert copies.ran == len(copies.queue)


@pytest.mark.parametrize("device", ["cpu", "cuda-sim"])
def test_other_devices_have_nothing_to_wait_for(device):
    found = list(prefetch(batches(2), device))
    assert [x.device for x, _ in found] == [device] * 2 and found[1][1]["y"].tolist() == [1, 2]
