"""grad_mode: whether ops are being recorded, per thread. `no_grad`, `enable_grad`, `set_grad_enabled`, `is_grad_enabled`."""

import threading
from contextlib import ContextDecorator


class _Mode(threading.local):
    enabled = True


mode = _Mode()


def is_grad_enabled():
    """Whether ops are being recorded."""
    return mode.enabled


class _Switch(ContextDecorator):
    """A block (or decorated function) with recording set to `value`; one object may be entered again and again."""

    value = True

    def __init__(self):
        self.before = []

    def __enter__(self):
        self.before.append(mode.enabled)
        mode.enabled = self.value
        return self

    def __exit__(self, *_):
        mode.enabled = self.before.pop()


class enable_grad(_Switch):
    """Record ops inside the block, whatever is set around it."""


class no_grad(_Switch):
    """Record nothing inside the block (or the decorated function): results require no gradient.

    >>> import minigrad as mg
    >>> x = mg.ones(1, requires_grad=True)
    >>> with mg.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    value = False


inference_mode = no_grad


class set_grad_enabled(ContextDecorator):
    """Turn recording on or off, by a call, for a `with` block, or for a decorated function.

    >>> import minigrad as mg
    >>> x = mg.ones(1, requires_grad=True)
    >>> with mg.set_grad_enabled(False):
    ...     print((2 * x).requires_grad)
    False
    """

    def __init__(self, mode_on):
        self.value, self.before = bool(mode_on), mode.enabled
        mode.enabled = self.value

    def __call__(self, function):
        mode.enabled = self.before  # as a decorator it acts on each call only
        return super().__call__(function)

    def __enter__(self):
        mode.enabled = self.value
        return self

    def __exit__(self, *_):
        mode.enabled = self.before
