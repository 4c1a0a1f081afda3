"""Transforms: against formulas, PyTorch and PIL; one by one and in batches; seeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.random import Generator
from minigrad.tensor import wrap
from minigrad.utils.data import worker_info
from minigrad.vision import transforms as T
from minigrad.vision.transforms.base import Transform, batch_of


def images(shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).random(shape)
    return (values * 255).astype(dtype) if dtype == np.uint8 else values.astype(dtype)


sizes = st.integers(1, 9)


# Pixels --------------------------------------------------------------------------------------------------------------


def test_to_tensor():
    pixels = images((4, 5, 3), np.uint8)
    expected = np.float32(pixels).transpose(2, 0, 1) / np.float32(255)
    out = T.ToTensor()(pixels)
    assert out.dtype == mg.float32
    assert out.is_contiguous()
    assert np.array_equal(out.numpy(), expected)
    assert np.array_equal(T.ToTensor()(pixels[..., 0]).numpy(), expected[:1])
    assert np.array_equal(T.ToTensor()(wrap(pixels[..., 0])).numpy(), expected[:1])
    assert np.array_equal(T.ToTensor()(wrap(pixels.transpose(2, 0, 1))).numpy(), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16], ids=str)
def test_to_tensor_keeps_other_values(dtype):
    pixels = (100 * images((2, 3), np.float64)).astype(dtype)
    out = T.ToTensor()(pixels)
    assert out.dtype == dtype
    assert np.array_equal(out.numpy()[0], pixels)


def test_to_tensor_of_bools_and_of_pil_images():
    assert T.ToTensor()(np.array([[True, False]])).tolist() == [[[1.0, 0.0]]]
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = images((4, 5, 3), np.uint8)
    assert np.array_equal(T.ToTensor()(image.fromarray(pixels)).numpy(), T.ToTensor()(pixels).numpy())


@pytest.mark.parametrize("bad", [[1, 2], None, "image", 3.0])
def test_to_tensor_takes_images_only(bad):
    with pytest.raises(TypeError, match=r"\[ToTensor\] found"):
        T.ToTensor()(bad)
    with pytest.raises(ValueError, match=r"\[ToTensor\] found the shape \(3,\)"):
        T.ToTensor()(np.zeros(3))


def test_normalize():
    x, mean, std = images((3, 4, 5)), (0.1, 0.2, 0.3), (0.5, 1.0, 2.0)
    m, s = (np.float32(v).reshape(3, 1, 1) for v in (mean, std))
    assert np.array_equal(T.Normalize(mean, std)(wrap(x)).numpy(), (x - m) / s)
    assert np.array_equal(T.Normalize(0.5, 2.0)(wrap(x)).numpy(), (x - np.float32(0.5)) / 2)
    assert T.Normalize(mean, std)(wrap(x.astype(np.float64))).dtype == mg.float64


def test_normalize_in_place():
    x = wrap(images((1, 2, 2)))
    expected, version = T.Normalize((0.5,), (0.5,))(x).numpy(), x._version
    assert T.Normalize((0.5,), (0.5,), inplace=True)(x) is x
    assert np.array_equal(x.numpy(), expected)
    assert x._version == version + 1


@pytest.mark.parametrize(
    ("image", "error", "text"),
    [
        (np.zeros((1, 2, 2)), TypeError, "found ndarray"),
        (mg.zeros(1, 2, 2, dtype=mg.uint8), TypeError, "found uint8"),
        (mg.zeros(2, 2), ValueError, r"shape \(2, 2\)"),
        (mg.zeros(2, 2, 2), ValueError, r"3 means and 3 stds for the shape \(2, 2, 2\)"),
        (mg.zeros(1, 2, 2), ValueError, "3 means"),
    ],
)
def test_normalize_errors(image, error, text):
    with pytest.raises(error, match=text):
        T.Normalize((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))(image)


def test_normalize_by_zero():
    with pytest.raises(ValueError, match="expected no 0"):
        T.Normalize((0.1, 0.2), (1.0, 0.0))


# Crops, flips --------------------------------------------------------------------------------------------------------


@given(sizes, sizes, sizes, sizes)
def test_center_crop(height, width, rows, columns):
    x = images((2, height, width)) + 1
    out = T.CenterCrop((rows, columns))(wrap(x)).numpy()
    assert out.shape == (2, rows, columns)
    room = np.zeros((2, height + 2 * rows, width + 2 * columns), np.float32)
    room[:, rows : rows + height, columns : columns + width] = x
    windows = np.lib.stride_tricks.sliding_window_view(room, out.shape[1:], axis=(1, 2))
    top, left = np.argwhere((windows == out[:, None, None]).all((0, 3, 4)))[0]
    assert abs((top + rows / 2) - (rows + height / 2)) <= 0.5
    assert abs((left + columns / 2) - (columns + width / 2)) <= 0.5


@given(sizes, sizes, st.integers(0, 3), st.data())
def test_random_crop_is_a_window(height, width, padding, data):
    rows = data.draw(st.integers(1, height + 2 * padding))
    columns = data.draw(st.integers(1, width + 2 * padding))
    x = images((5, 2, height, width)) + 1
    out = T.RandomCrop((rows, columns), padding).batch(x)
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(2, 3))
    assert out.shape == (5, 2, rows, columns)
    assert (windows == out[:, :, None, None]).all((1, 4, 5)).any((1, 2)).all()


def test_random_crops_are_everywhere_alike():
    mg.manual_seed(0)
    x = np.broadcast_to(np.arange(12).reshape(3, 4), (6000, 3, 4))
    corners = T.RandomCrop((2, 2)).batch(x)[:, 0, 0]
    counts = np.bincount(corners, minlength=12)
    assert np.flatnonzero(counts).tolist() == [0, 1, 2, 4, 5, 6]
    assert abs(counts[counts > 0] - 1000).max() < 150  # five standard deviations


def test_random_crop_where_room_is_short():
    with pytest.raises(ValueError, match=r"\[RandomCrop\] found an image of \(2, 3\), expected at least \(3, 3\)"):
        T.RandomCrop(3)(mg.zeros(2, 3))
    assert T.RandomCrop(7, pad_if_needed=True)(mg.zeros(2, 3)).shape == (7, 7)
    out = T.RandomCrop(4, pad_if_needed=True, fill=9)(mg.zeros(2, 4))
    assert (out.numpy() == 0).any()
    assert (out.numpy() == 9).any()


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize(
    ("padding", "widths"), [(2, (2, 2, 2, 2)), ((1, 2), (1, 2, 1, 2)), ((1, 2, 3, 0), (1, 2, 3, 0))]
)
def test_pad(padding, widths, mode):
    left, top, right, bottom = widths
    x = images((2, 4, 5))
    out = T.Pad(padding, padding_mode=mode)(wrap(x)).numpy()
    assert np.array_equal(out, np.pad(x, [(0, 0), (top, bottom), (left, right)], mode))


@pytest.mark.parametrize(("flip", "axis"), [(T.RandomHorizontalFlip, -1), (T.RandomVerticalFlip, -2)])
def test_flips(flip, axis):
    mg.manual_seed(0)
    x = images((4000, 2, 3))
    assert np.array_equal(flip(0).batch(x), x)
    assert np.array_equal(flip(1).batch(x), np.flip(x, axis))
    out = flip(0.25).batch(x)
    mirrored = (out != x).any((1, 2))
    assert np.array_equal(out[mirrored], np.flip(x[mirrored], axis))
    assert abs(mirrored.mean() - 0.25) < 0.035  # five standard deviations


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: T.RandomHorizontalFlip(1.5), ValueError, r"\[RandomHorizontalFlip\] p is 1.5"),
        (lambda: T.RandomCrop(0), ValueError, r"size \(0, 0\)"),
        (lambda: T.CenterCrop((1, 2, 3)), ValueError, "expected one or two positive integers"),
        (lambda: T.RandomCrop(2, (1, 2, 3)), ValueError, "expected 1, 2 or 4"),
        (lambda: T.Pad(1, padding_mode="wrap"), ValueError, "padding_mode is 'wrap'"),
        (lambda: T.RandomRotation(-1), ValueError, "the lower first"),
        (lambda: T.RandomRotation((1, 2, 3)), ValueError, "expected two numbers"),
        (lambda: T.RandomRotation(1, "cubic"), ValueError, "expected one of nearest, bilinear"),
        (lambda: T.Resize(0), ValueError, "positive"),
        (lambda: T.Resize(2, "cubic"), ValueError, "interpolation is 'cubic'"),
        (lambda: T.Lambda(3), TypeError, "found int"),
    ],
)
def test_arguments_are_checked(make, error, text):
    with pytest.raises(error, match=text):
        make()


# Resampling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("angle", [0, 90, 180, 270, -90, 360])
def test_right_angles_are_exact(angle, mode):
    x = images((2, 5, 5))
    out = T.RandomRotation((angle, angle), mode)(wrap(x)).numpy()
    assert np.array_equal(out, np.rot90(x, angle // 90, (1, 2)))


@given(sizes, sizes, st.floats(-180, 180), st.sampled_from(["nearest", "bilinear"]), st.booleans())
def test_rotation_against_pytorch(height, width, angle, mode, centred):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = images((1, 2, height, width))
    center = None if centred else (0.3 * width, 0.6 * height)
    out = T.RandomRotation((angle, angle), mode, center=center)(wrap(x[0])).numpy()
    a, (cx, cy) = np.deg2rad(angle), center or (width / 2, height / 2)
    tx, ty = 2 * cx / width - 1, 2 * cy / height - 1  # PyTorch's coordinates go from -1 to 1
    m = np.array([[np.cos(a), -np.sin(a) * height / width], [np.sin(a) * width / height, np.cos(a)]])
    theta = np.concatenate([m, np.array([[tx], [ty]]) - m @ [[tx], [ty]]], 1)
    grid = torch.nn.functional.affine_grid(torch.tensor(theta)[None], x.shape, align_corners=False)
    theirs = torch.nn.functional.grid_sample(torch.tensor(x).double(), grid, mode, "zeros", align_corners=False)
    if mode == "bilinear":
        np.testing.assert_allclose(out, theirs[0], atol=1e-6)
    else:
        y, x = ((grid[0, ..., i].numpy() * n + n - 1) / 2 for i, n in ((1, height), (0, width)))
        tie = (abs(abs(y % 1) - 0.5) < 1e-6) | (abs(abs(x % 1) - 0.5) < 1e-6)  # between two pixels: either is right
        np.testing.assert_allclose(out[:, ~tie], theirs[0].numpy()[:, ~tie], atol=1e-7)


def test_rotation_fills_and_expands():
    x = np.ones((2, 4, 6), np.uint8)
    out = T.RandomRotation((45, 45), fill=(7, 8))(wrap(x)).numpy()
    assert out[:, 0, 0].tolist() == [7, 8]
    assert set(out[0].flat) == {1, 7}
    assert T.RandomRotation((90, 90), expand=True)(wrap(x)).shape == (2, 6, 4)
    grown = T.RandomRotation((45, 45), "bilinear", expand=True)(wrap(images((1, 10, 10)) * 0 + 1)).numpy()
    assert grown.shape == (1, 16, 16)
    assert abs(grown.sum() - 100) < 1  # nothing is cut off
    assert T.RandomRotation(10, expand=True).batch(images((2, 4, 4))) is NotImplemented


def test_rotation_angles_are_even_over_the_range():
    mg.manual_seed(0)
    ramp = np.broadcast_to(np.arange(-8.0, 9.0), (2000, 17, 17))
    out = T.RandomRotation((-30, 60), "bilinear").batch(ramp)
    found = -np.rad2deg(np.arctan2(out[:, 11, 8], out[:, 8, 11]))  # from the ramp's slopes down and to the right
    assert found.min() > -30.001
    assert found.max() < 60.001
    assert abs(found.mean() - 15) < 3
    assert abs(found.std() - 90 / 12**0.5) < 1.5


@given(sizes, sizes, sizes, st.integers(2, 9), st.booleans())
def test_resize_against_pytorch(height, width, rows, columns, antialias):
    # columns from 2 on: for one column PyTorch's antialiased CPU kernel repeats the first row
    torch = pytest.importorskip("torch", reason="torch is not installed")
    x = images((2, height, width))
    interpolate, given_ = torch.nn.functional.interpolate, torch.tensor(x)[None]
    theirs = interpolate(given_, (rows, columns), mode="bilinear", antialias=antialias)[0]
    out = T.Resize((rows, columns), antialias=antialias)(wrap(x)).numpy()
    np.testing.assert_allclose(out, theirs, atol=1e-5)
    nearest = interpolate(given_, (rows, columns), mode="nearest")[0]
    assert np.array_equal(T.Resize((rows, columns), "nearest")(wrap(x)).numpy(), nearest)


@pytest.mark.parametrize(
    ("size", "max_size", "shape", "expected"),
    [(4, None, (8, 12), (4, 6)), (4, None, (12, 8), (6, 4)), (4, 5, (8, 16), (2, 5)), (3, None, (3, 3), (3, 3))],
)
def test_resize_of_the_shorter_side(size, max_size, shape, expected):
    assert T.Resize(size, max_size=max_size)(mg.zeros(*shape)).shape == expected


def test_resize_rounds_whole_numbers():
    out = T.Resize((1, 1))(wrap(np.array([[1, 2]], np.uint8)))
    assert out.dtype == mg.uint8
    assert out.tolist() == [[2]]


# Together ------------------------------------------------------------------------------------------------------------


FIXED = [T.Pad(1), T.CenterCrop(6), T.Resize(5), T.Resize((4, 7), "nearest"), T.RandomVerticalFlip(1)]
RANDOM = [T.RandomCrop(5, 2), T.RandomHorizontalFlip(), T.RandomVerticalFlip(), T.RandomRotation(30, "bilinear")]


@pytest.mark.parametrize("transform", [*FIXED, *RANDOM], ids=repr)
def test_an_image_comes_back_as_it_came(transform):
    pixels = images((7, 8, 3), np.uint8)
    generator = getattr(transform, "random", Generator())
    state = generator.get_state()

    def applied(image):
        generator.set_state(state)
        return transform(image)

    as_array, as_tensor = applied(pixels), applied(wrap(pixels.transpose(2, 0, 1)))
    assert as_array.dtype == as_tensor.dtype == np.uint8
    assert np.array_equal(as_array, as_tensor.numpy().transpose(1, 2, 0))
    assert np.array_equal(applied(pixels[..., 0]), as_array[..., 0])
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    as_pil = applied(image.fromarray(pixels))
    assert isinstance(as_pil, image.Image)
    assert np.array_equal(np.asarray(as_pil), as_array)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32], ids=str)
@pytest.mark.parametrize("shape", [(9, 6, 7), (9, 3, 6, 7)], ids=str)
def test_batches_give_the_bits_of_single_images(shape, dtype):
    stack = images(shape, dtype)
    mean = (0.1,) * (3 if len(shape) == 4 else 1)
    for transforms in ([T.ToTensor()], [T.ToTensor(), T.Normalize(mean, mean)], [*FIXED, T.ToTensor()]):
        transform = T.Compose(transforms)
        single = np.stack([transform(wrap(x)).numpy() for x in stack])
        together = batch_of(transform, stack)
        assert together.dtype == single.dtype
        assert np.array_equal(together, single)


def test_seeds_repeat_everything():
    transform = T.Compose([*RANDOM, T.ToTensor()])
    stack = images((8, 9, 9), np.uint8)
    runs = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        runs.append((batch_of(transform, stack), np.stack([transform(x).numpy() for x in stack])))
    assert np.array_equal(runs[0][0], runs[1][0])
    assert np.array_equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][0], runs[2][0])


@pytest.mark.parametrize(
    "make",
    [
        lambda g: T.RandomCrop(5, 2, generator=g),
        lambda g: T.RandomHorizontalFlip(generator=g),
        lambda g: T.RandomVerticalFlip(generator=g),
        lambda g: T.RandomRotation(90, generator=g),
    ],
)
def test_a_generator_of_ones_own(make):
    stack, state = images((64, 5, 5)), mg.get_rng_state()
    first, again, other = (make(Generator().manual_seed(s)).batch(stack) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(mg.get_rng_state(), state)


def test_workers_with_copies_of_a_generator_draw_differently(monkeypatch):
    stack, drawn = images((64, 5, 5)), []
    for seed in (5, 6, 5):
        monkeypatch.setattr(worker_info, "_info", worker_info.WorkerInfo(0, 2, seed, None))
        drawn.append(T.RandomHorizontalFlip(generator=Generator().manual_seed(1)).batch(stack))
    assert not np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])
    flip = T.RandomHorizontalFlip(generator=Generator().manual_seed(1))
    assert np.array_equal(flip.batch(stack), drawn[0])
    assert not np.array_equal(flip.batch(stack), drawn[0])  # it goes on within an epoch


def test_what_has_no_batch_form_says_so():
    stack = images((2, 4, 4))
    assert batch_of(T.Lambda(lambda x: x), stack) is NotImplemented
    assert batch_of(lambda x: x, stack) is NotImplemented
    assert batch_of(T.Compose([T.Pad(1), T.Lambda(lambda x: x)]), stack) is NotImplemented
    assert batch_of(T.Compose([T.RandomRotation(5, expand=True), T.Pad(1)]), stack) is NotImplemented
    assert batch_of(None, stack) is stack

    class Louder(T.ToTensor):
        def __call__(self, pic):
            return super().__call__(pic) * 2

    assert batch_of(Louder(), stack) is NotImplemented
    assert batch_of(T.Compose([Louder()]), stack) is NotImplemented

    class Darker(Transform):
        def batch(self, images):
            return images / 2

    assert np.array_equal(batch_of(Darker(), stack), stack / 2)
    assert np.array_equal(Darker()(wrap(stack[0])).numpy(), stack[0] / 2)


def test_reprs():
    transforms = [
        T.ToTensor(), T.Normalize((0.1,), (0.2,)), T.RandomCrop(3, 1), T.CenterCrop(3), T.Pad(1), T.Resize(3),
        T.Lambda(str), T.RandomRotation(10), T.RandomHorizontalFlip(), T.RandomVerticalFlip(0.1),
    ]  # fmt: skip
    assert repr(T.Compose(transforms)).split("\n    ") == [
        "Compose(",
        "ToTensor()",
        "Normalize(mean=(0.1,), std=(0.2,))",
        "RandomCrop(size=(3, 3), padding=1)",
        "CenterCrop(size=(3, 3))",
        "Pad(padding=1, fill=0, padding_mode=constant)",
        "Resize(size=3, interpolation=bilinear, max_size=None, antialias=True)",
        "Lambda()",
        "RandomRotation(degrees=[-10.0, 10.0], interpolation=nearest, expand=False, fill=0)",
        "RandomHorizontalFlip(p=0.5)",
        "RandomVerticalFlip(p=0.1)\n)",
    ]
