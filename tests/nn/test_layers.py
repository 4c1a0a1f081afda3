"""Layers and losses: outputs, gradients, states and first values against PyTorch's, and what each refuses."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def indices(*shape, high=5):
    return np.random.default_rng(1).integers(0, high, shape)


def probabilities(*shape):
    return 1 / (1 + np.exp(-normal(*shape, seed=2)))


# how to make a layer from a module `nn`, and the arrays it is called with
LAYERS = [
    (lambda nn: nn.Identity(), [normal(2, 3)]),
    (lambda nn: nn.Linear(4, 3), [normal(4)]),
    (lambda nn: nn.Linear(4, 3), [normal(2, 5, 4)]),
    (lambda nn: nn.Linear(4, 3, bias=False), [normal(0, 4)]),
    (lambda nn: nn.Flatten(), [normal(2, 3, 4)]),
    (lambda nn: nn.Flatten(0, 1), [normal(2, 3, 4)]),
    (lambda nn: nn.Unflatten(1, (2, -1)), [normal(3, 8)]),
    (lambda nn: nn.Unflatten(-1, (2, 4)), [normal(3, 8)]),
    (lambda nn: nn.ReLU(), [normal(3, 4)]),
    (lambda nn: nn.Sigmoid(), [normal(3, 4)]),
    (lambda nn: nn.Tanh(), [normal(3, 4)]),
    (lambda nn: nn.GELU(), [normal(3, 4)]),
    (lambda nn: nn.GELU("tanh"), [normal(3, 4)]),
    (lambda nn: nn.SiLU(), [normal(3, 4)]),
    (lambda nn: nn.Sequential(nn.Linear(4, 3), nn.SiLU(inplace=True), nn.Linear(3, 2)), [normal(5, 4)]),
    (lambda nn: nn.Softmax(dim=1), [normal(3, 4)]),
    (lambda nn: nn.LogSoftmax(dim=0), [normal(3, 4)]),
    (lambda nn: nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Linear(3, 2)), [normal(5, 4)]),
    (lambda nn: nn.Conv2d(3, 4, 3), [normal(2, 3, 7, 6)]),
    (lambda nn: nn.Conv2d(3, 4, 3), [normal(3, 7, 6)]),
    (lambda nn: nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 2), dilation=(2, 1), groups=2), [normal(2, 4, 9, 8)]),
    (lambda nn: nn.Conv2d(3, 3, 4, padding="same", groups=3, bias=False), [normal(2, 3, 7, 6)]),
    (lambda nn: nn.Conv2d(3, 2, 3, padding="valid", stride=2), [normal(2, 3, 7, 6)]),
    (lambda nn: nn.MaxPool2d(2), [normal(2, 3, 7, 6)]),
    (lambda nn: nn.MaxPool2d((3, 2), stride=(2, 1), padding=1, ceil_mode=True), [normal(2, 3, 8, 6)]),
    (lambda nn: nn.MaxPool2d(2, dilation=2), [normal(3, 8, 6)]),
    (lambda nn: nn.BatchNorm1d(3), [normal(5, 3)]),
    (lambda nn: nn.BatchNorm1d(3, eps=0.1, momentum=0.3, affine=False), [normal(5, 3, 4)]),
    (lambda nn: nn.BatchNorm1d(3, momentum=None), [normal(5, 3)]),
    (lambda nn: nn.BatchNorm1d(3, track_running_stats=False), [normal(5, 3)]),
    (lambda nn: nn.BatchNorm2d(3, bias=False), [normal(2, 3, 4, 5)]),
    (lambda nn: nn.BatchNorm2d(3).eval(), [normal(2, 3, 4, 5)]),
    (lambda nn: nn.BatchNorm2d(3, track_running_stats=False).eval(), [normal(2, 3, 4, 5)]),
    (lambda nn: nn.LayerNorm(4), [normal(3, 4)]),
    (lambda nn: nn.LayerNorm((3, 4), eps=0.1), [normal(2, 3, 4)]),
    (lambda nn: nn.LayerNorm(4, bias=False), [normal(3, 4)]),
    (lambda nn: nn.LayerNorm(4, elementwise_affine=False), [normal(3, 4)]),
    (lambda nn: nn.RMSNorm(4), [normal(3, 4)]),
    (lambda nn: nn.RMSNorm((3, 4), eps=0.1), [normal(2, 3, 4)]),
    (lambda nn: nn.RMSNorm(4, elementwise_affine=False), [normal(3, 4)]),
    (lambda nn: nn.Embedding(5, 3), [indices(2, 4)]),
    (lambda nn: nn.Embedding(5, 3, padding_idx=1), [indices(7)]),
    (lambda nn: nn.Dropout(0.0), [normal(3, 4)]),
    (lambda nn: nn.Dropout(0.7).eval(), [normal(3, 4)]),
    (lambda nn: nn.MSELoss(), [normal(3, 4), normal(3, 4, seed=1)]),
    (lambda nn: nn.MSELoss(reduction="none"), [normal(3, 4), normal(3, 4, seed=1)]),
    (lambda nn: nn.NLLLoss(ignore_index=2), [normal(6, 5), indices(6)]),
    (lambda nn: nn.NLLLoss(reduction="sum"), [normal(2, 5, 3), indices(2, 3)]),
    (lambda nn: nn.CrossEntropyLoss(), [normal(6, 5), indices(6)]),
    (lambda nn: nn.CrossEntropyLoss(ignore_index=0, label_smoothing=0.2), [normal(6, 5), indices(6)]),
    (lambda nn: nn.CrossEntropyLoss(reduction="none"), [normal(2, 5, 3), indices(2, 3)]),
    (lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1), [normal(3, 4), probabilities(3, 4)]),
    (lambda nn: nn.BCELoss(), [probabilities(3, 4), probabilities(3, 4)]),
    (lambda nn: nn.BCEWithLogitsLoss(reduction="sum"), [normal(3, 4), probabilities(3, 4)]),
]


def same_state(mine, other):
    """Give both the same random parameters."""
    state = {name: value.numpy() for name, value in other.double().state_dict().items()}
    for i, name in enumerate(name for name in state if name.endswith(("weight", "bias"))):
        state[name][...] = normal(*state[name].shape, seed=10 + i)
    mine.double().load_state_dict({name: mg.tensor(value) for name, value in state.items()})


def results(library, layer, arrays):
    """Output, and the gradients of parameters and first input from a weighted sum of it."""
    inputs = [library.tensor(a) for a in arrays]
    if inputs[0].is_floating_point():
        inputs[0].requires_grad_()
    output = layer(*(x * 1 if x.requires_grad else x for x in inputs))
    if output.requires_grad:
        weights = library.tensor(normal(*output.shape, seed=3))
        (output * weights).sum().backward()
    gradients = [t.grad for t in (inputs[0], *layer.parameters())]
    return [output.detach(), *(g for g in gradients if g is not None), *layer.state_dict().values()]


@needs_torch
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of a copy that it makes
@pytest.mark.parametrize(("make", "arrays"), LAYERS)
def test_layer_is_pytorchs(make, arrays):
    mine, other = make(nn), make(torch.nn)
    same_state(mine, other)
    for _ in range(2):  # twice, so that running statistics move
        found, expected = results(mg, mine, arrays), results(torch, other, arrays)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert tuple(a.shape) == tuple(b.shape)
            np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-9, atol=1e-10)


@needs_torch
@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss"])
def test_weighted_losses_are_pytorchs(name):
    classes = name in ("CrossEntropyLoss", "NLLLoss")
    arrays = [probabilities(6, 5), indices(6) if classes else probabilities(6, 5)]
    weight = np.abs(normal(5, seed=4))
    found, expected = (
        results(library, getattr(library.nn, name)(weight=library.tensor(weight)), arrays) for library in (mg, torch)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-9, atol=1e-12)


@needs_torch
def test_pos_weight_is_pytorchs():
    arrays, weight = [normal(6, 5), probabilities(6, 5)], np.abs(normal(5, seed=4))
    found, expected = (
        results(library, library.nn.BCEWithLogitsLoss(pos_weight=library.tensor(weight)), arrays)
        for library in (mg, torch)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-9, atol=1e-12)


# First values and state ----------------------------------------------------------------------------------------------

BOUNDS = [
    (lambda: nn.Linear(100, 80), 1 / math.sqrt(100)),
    (lambda: nn.Conv2d(16, 80, 5), 1 / math.sqrt(16 * 25)),
    (lambda: nn.Conv2d(32, 80, 3, groups=4), 1 / math.sqrt(8 * 9)),
]


@pytest.mark.parametrize(("make", "bound"), BOUNDS)
def test_first_values_fill_their_bounds(make, bound):
    layer = make()
    for p in layer.parameters():
        sizes = np.abs(p.detach().numpy())
        assert 0.9 * bound < sizes.max() <= bound * (1 + 1e-6)
        assert abs(sizes.mean() - bound / 2) < 0.15 * bound
    before = layer.weight.tolist()
    layer.reset_parameters()
    assert layer.weight.tolist() != before


def test_first_values_of_embedding_and_norms():
    table = nn.Embedding(500, 20, padding_idx=3).weight.detach().numpy()
    assert abs(table.mean()) < 0.05 and abs(table.std() - 1) < 0.05 and not table[3].any()
    for layer in (nn.BatchNorm1d(2), nn.LayerNorm(2)):
        assert layer.weight.tolist() == [1.0, 1.0] and layer.bias.tolist() == [0.0, 0.0]
    norm = nn.BatchNorm1d(2)
    assert norm.running_mean.tolist() == [0.0, 0.0] and norm.running_var.tolist() == [1.0, 1.0]
    norm(mg.randn(4, 2))
    assert norm.num_batches_tracked.item() == 1 and norm.running_var.tolist() != [1.0, 1.0]
    norm.reset_running_stats()
    assert norm.num_batches_tracked.item() == 0 and norm.running_var.tolist() == [1.0, 1.0]


FACTORIES = [
    lambda **options: nn.Linear(2, 3, **options),
    lambda **options: nn.Conv2d(2, 3, 1, **options),
    lambda **options: nn.BatchNorm2d(2, **options),
    lambda **options: nn.LayerNorm(2, **options),
    lambda **options: nn.Embedding(2, 3, **options),
]


@pytest.mark.parametrize("make", FACTORIES)
@pytest.mark.parametrize("dtype", [mg.float64, mg.bfloat16])
def test_layers_are_made_in_a_dtype(make, dtype):
    layer = make(dtype=dtype, device="cpu")
    assert all(p.dtype == dtype and isinstance(p, nn.Parameter) for p in layer.parameters())


def test_layers_without_features():
    assert nn.Linear(0, 2)(mg.ones(3, 0)).tolist() == [[0.0, 0.0]] * 3 or nn.Linear(0, 2).bias is not None
    assert nn.Linear(2, 0)(mg.ones(3, 2)).shape == (3, 0)


def test_from_pretrained_shares_and_freezes():
    table = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    assert layer.weight.array is table.array and not layer.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    assert nn.Embedding.from_pretrained(table, padding_idx=-1).padding_idx == 1
    assert table.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_the_padding_row_gets_no_gradient():
    layer = nn.Embedding(4, 2, padding_idx=0)
    layer(mg.tensor([0, 1, 1])).sum().backward()
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [2.0, 2.0], [0.0, 0.0], [0.0, 0.0]]


def test_dropout_drops_in_training_only():
    layer, x = nn.Dropout(0.25), mg.ones(10000)
    y = layer(x)
    kept = (y != 0).to(mg.float32).mean().item()
    assert abs(kept - 0.75) < 0.03 and set(y.tolist()) == {0.0, y.max().item()}
    assert y.max().item() == pytest.approx(4 / 3)
    assert layer.eval()(x).tolist() == x.tolist()


def test_inplace_activation_writes_into_its_input():
    x = mg.tensor([-1.0, 2.0])
    assert nn.ReLU(inplace=True)(x) is x and x.tolist() == [0.0, 2.0]


def test_loss_weights_are_buffers():
    loss = nn.CrossEntropyLoss(weight=mg.ones(3))
    assert list(loss.state_dict()) == ["weight"] and loss.double().weight.dtype == mg.float64


REFUSED = [
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "groups is 2, a divisor of the channels 3 and 4"),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "groups is 0"),
    (lambda: nn.Conv2d(4, 4, 3, padding="full"), ValueError, "padding is 'full'"),
    (lambda: nn.Conv2d(4, 4, 3, padding="same", stride=2), ValueError, r"'same' needs stride 1, found \(2, 2\)"),
    (lambda: nn.Conv2d(4, 4, 3, padding_mode="reflect"), ValueError, "padding_mode is 'reflect', only 'zeros'"),
    (lambda: nn.Dropout(1.5), ValueError, "p is 1.5"),
    (lambda: nn.Embedding(4, 2, padding_idx=4), ValueError, "padding_idx is 4, a row of 4"),
    (lambda: nn.Embedding.from_pretrained(mg.ones(3)), ValueError, r"the table has shape \(3,\)"),
    (lambda: nn.Unflatten(1, 3), TypeError, "unflattened_size is 3"),
    (lambda: nn.BatchNorm1d(3)(mg.ones(2, 3, 4, 5)), ValueError, "2 or 3 dimensions were expected"),
    (lambda: nn.BatchNorm2d(3)(mg.ones(2, 3)), ValueError, r"shape \(2, 3\), 4 dimensions were expected"),
    (lambda: nn.BatchNorm1d(3)(mg.ones(2, 4)), RuntimeError, r"shape \(2, 4\), 3 channels were expected"),
    (lambda: nn.BatchNorm1d(3)(mg.ones(1, 3)), ValueError, "batch_norm"),
    (lambda: nn.Linear(3, 4)(mg.ones(2, 5)), RuntimeError, "linear"),
    (lambda: nn.Unflatten(1, (2, 3))(mg.ones(2, 5)), RuntimeError, "unflatten"),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
