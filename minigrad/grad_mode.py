"""grad_mode: whether ops are being recorded, per thread, and the switches: no_grad, enable_grad, set_grad_enabled."""

import threading
from contextlib import ContextDecorator


class _Mode(threading.local):
    enabled = True


mode = _Mode()


def is_grad_enabled():
    """Whether ops are being recorded."""
    return mode.enabled


class _Switch(ContextDecorator):
    """A block, or a decorated function, with recording set to `value`."""

    value = True

    def __new__(cls, function=None):
        """`@no_grad()` and `@no_grad` alike."""
        switch = super().__new__(cls)
        return switch if function is None else switch(function)

    def __enter__(self):
        self.before = mode.enabled
        mode.enabled = self.value
        return self

    def __exit__(self, *_):
        mode.enabled = self.before

    def _recreate_cm(self):
        """Each call of a decorated function gets a switch of its own: calls nest, and threads make them at once."""
        return type(self)()


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


class set_grad_enabled(_Switch):
    """Turn recording on or off, by a call, for a `with` block, or for a decorated function.

    >>> import minigrad as mg
    >>> x = mg.ones(1, requires_grad=True)
    >>> with mg.set_grad_enabled(False):
    ...     print((2 * x).requires_grad)
    False
    """

    def __new__(cls, mode_on):
        return object.__new__(cls)

    def __init__(self, mode_on):
        self.value, self.before = bool(mode_on), mode.enabled
        mode.enabled = self.value

    def __call__(self, function):
        mode.enabled = self.before  # as a decorator it acts on each call only
        return super().__call__(function)

    def __enter__(self):
        mode.enabled = self.value  # what to go back to is known since the call
        return self

    def _recreate_cm(self):
        return set_grad_enabled(self.value)
