"""ahead: batches in pinned memory, and on a device before they are asked for."""

import warnings
from collections.abc import Mapping

from minigrad.backend import devices
from minigrad.tensor import Tensor, wrap
from minigrad.utils.data.collate import rebuilt


def pinned_batches(batches):
    """Batches with their Tensors in pinned memory; as they are, with a warning, where there is no GPU to copy them."""
    missing = devices.no_gpu()
    if missing:
        warnings.warn(f"[DataLoader] pin_memory=True has no effect: {missing}", stacklevel=3)
        return batches
    return map(pin, batches)


def pin(batch):
    """A batch with its Tensors, and what else has a method `pin_memory`, in pinned memory."""
    return mapped(lambda item: item.pin_memory(), batch)


def mapped(function, batch):
    """A batch with `function` applied to what has a method `pin_memory`, in the containers that it came in."""
    if hasattr(batch, "pin_memory"):
        return function(batch)
    if isinstance(batch, Mapping):
        return rebuilt(batch, {key: mapped(function, item) for key, item in batch.items()})
    if isinstance(batch, (tuple, list)):
        return rebuilt(batch, [mapped(function, item) for item in batch])
    return batch


def prefetch(batches, device):
    """The batches with their Tensors on a device; on a GPU the next one is copied while this one is worked on.

    The copies are made from pinned memory in a stream of their own: when a batch is handed out, the current stream
    waits for its copy, not the CPU. So what works on the batches is to run in the stream that is current here.

    Args:
        batches: a DataLoader, or any iterable of Tensors in tuples, lists and dicts.
        device (str): where to.
    Errors: RuntimeError for a device that is not there.

    >>> import minigrad as mg
    >>> from minigrad.utils.data import DataLoader, TensorDataset, prefetch
    >>> for x, y in prefetch(DataLoader(TensorDataset(mg.ones(4), mg.arange(4)), batch_size=2), "cpu"):
    ...     print(x, y)
    tensor([1., 1.]) tensor([0, 1])
    tensor([1., 1.]) tensor([2, 3])
    """
    device = devices.known("prefetch", device)
    ahead = devices.ahead(device)
    return _ahead(batches, ahead) if ahead else (mapped(lambda t: t.to(device=device), batch) for batch in batches)


def _ahead(batches, ahead):
    waiting, event = None, None
    try:
        for batch in batches:
            moved = _begun(batch, ahead)
            event = moved[1]
            if waiting is not None:
                ahead.wait(waiting[1])
                yield waiting[0]
            waiting = moved
        if waiting is not None:
            ahead.wait(waiting[1])
            yield waiting[0]
    finally:
        if event is not None:
            ahead.wait(event)  # nobody may be given the memory of a copy that is still to be made


def _begun(batch, ahead):
    """(a batch on its way to the device, the event behind its copies)"""
    ahead.begin()
    return mapped(lambda item: _moved(item, ahead), batch), ahead.end()


def _moved(item, ahead):
    if not isinstance(item, Tensor) or item.requires_grad:
        return item.to(ahead.device)
    return wrap(ahead.copy(item.array))
