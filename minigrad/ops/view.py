"""view: ops whose result shares memory with its input, and how such a result remembers what it is a view of.

A write into a view changes its base, and a write into the base all its views: `inplace.py` rewrites the history of the
base, and a view takes its own from there anew, by its `Recipe`, when it is next used (`Tensor.refresh`).
"""

from minigrad.autograd import Op
from minigrad.backend.array import owner


class View(Op):
    """An op whose result shares memory with its input. Subclasses give forward, and gradient by the inverse view."""

    fresh = False

    @classmethod
    def take(cls, x, *args):
        y = cls.apply(x, *args)
        if owner(y.array) is owner(x.array):  # a reshape may have had to copy
            link(y, x, lambda source: cls.take(source, *args))
        return y


class Recipe:
    """How to take a view of a base: the steps of an `earlier` view, then `again`. A loop, since chains may be long."""

    __slots__ = ("again", "earlier")

    def __init__(self, again, earlier):
        self.again, self.earlier = again, earlier

    def __call__(self, base):
        steps, recipe = [], self
        while recipe is not None:
            steps.append(recipe.again)
            recipe = recipe.earlier
        for again in reversed(steps):
            base = again(base)
        return base


def link(y, x, again):
    """Note that `y` is a view of `x` that `again` takes."""
    y.base = x if x.base is None else x.base
    y.recipe = Recipe(again, x.recipe)
    y.epoch = y.base.epoch
