"""flatten: Flatten and Unflatten, one the way back of the other."""

from minigrad.nn.module import Module


class Flatten(Module):
    """Joins the dimensions from start_dim to end_dim into one; by default all but the batch.

    Shape: input (*, S_start, ..., S_end, *), output (*, product of those, *).
    Errors: IndexError for a dimension out of range; RuntimeError when start_dim comes after end_dim.

    >>> import minigrad as mg
    >>> mg.nn.Flatten()(mg.zeros(32, 1, 5, 5)).shape
    (32, 25)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x):
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into `unflattened_size`, whose product it is; one entry may be -1.

    Errors: TypeError when a size is no int; RuntimeError when the product does not fit.

    >>> import minigrad as mg
    >>> mg.nn.Unflatten(1, (2, -1))(mg.zeros(3, 50)).shape
    (3, 2, 25)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]):
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)) or not all(isinstance(n, int) for n in unflattened_size):
            raise TypeError(f"[Unflatten] unflattened_size is {unflattened_size!r}, a tuple of ints was expected")
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x):
        return x.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
