"""sparse: Embedding."""

from minigrad.grad_mode import no_grad
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops import empty
from minigrad.tensor import Tensor


class Embedding(Module):
    """A table of learned vectors: y = W[index].

    The vectors start as N(0, 1), the padding one as 0.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: size of a vector.
        padding_idx: a row that gets no gradient, so that it stays what it is.
    Shape: input (*) of integers, output (*, embedding_dim); weight (num_embeddings, embedding_dim).
    Errors: ValueError for a padding_idx outside the table; IndexError for an index outside it.
    Source: Bengio et al., A Neural Probabilistic Language Model, 2003.

    >>> import minigrad as mg
    >>> mg.nn.Embedding(10, 3, padding_idx=0)(mg.tensor([[0, 2, 4]])).shape
    (1, 3, 3)
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, *, device=None, dtype=None
    ):
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"[Embedding] padding_idx is {padding_idx}, a row of {num_embeddings} was expected")
        self.padding_idx = padding_idx if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors anew; the padding one is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None):
        """An Embedding on a table made elsewhere, which it shares; with `freeze` it is not trained.

        Errors: ValueError when the table does not have two dimensions.

        >>> import minigrad as mg
        >>> mg.nn.Embedding.from_pretrained(mg.tensor([[1.0, 2.0], [3.0, 4.0]]))(mg.tensor([1]))
        tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            raise ValueError(f"[Embedding] the table has shape {tuple(embeddings.shape)}, two dimensions were expected")
        layer = cls(*embeddings.shape, padding_idx=padding_idx, dtype=embeddings.dtype)
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def forward(self, index):
        return F.embedding(index, self.weight, self.padding_idx)

    def extra_repr(self):
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
