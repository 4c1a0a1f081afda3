"""MNIST: the real files, where they are looked for, batches without a loop, and downloads from a server of our own."""

import gzip
import hashlib
import http.server
import struct
import threading
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad.utils import data
from minigrad.vision import transforms as T
from minigrad.vision.datasets import MNIST, FashionMNIST, download

NORMALIZED = T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])


@pytest.fixture(scope="module")
def train():
    return MNIST("nowhere")


@pytest.fixture(scope="module")
def test():
    return MNIST("nowhere", train=False)


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGRAD_CACHE", str(tmp_path / "cache"))


# The real thing ------------------------------------------------------------------------------------------------------


def test_mnist_is_complete(train, test):
    assert np.bincount(train.targets.numpy()).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.targets.numpy()).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (train.targets[:5].tolist(), test.targets[:5].tolist()) == ([5, 0, 4, 1, 9], [7, 2, 1, 0, 4])
    assert (train.data.shape, test.data.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert abs(train.data.numpy().mean() / 255 - 0.1307) < 5e-5
    assert abs(train.data.numpy().std() / 255 - 0.3081) < 5e-5


def test_what_it_offers(test):
    image, label = test[0]
    assert isinstance(image, mg.Tensor)
    assert (image.shape, image.dtype, type(label), label) == ((28, 28), mg.uint8, int, 7)
    assert (test.data.dtype, test.targets.dtype) == (mg.uint8, mg.int64)
    assert len(test) == 10000
    assert test.classes[7] == "7 - seven"
    assert test.class_to_idx["7 - seven"] == 7
    assert test[-1][1] == test.targets[-1].item()
    with pytest.raises(IndexError):
        test[10000]


def test_repr(test):
    assert repr(test).split("\n") == [
        "Dataset MNIST",
        "    Number of datapoints: 10000",
        "    Root location: nowhere",
        "    Split: Test",
    ]
    dataset = MNIST("nowhere", False, T.Compose([T.ToTensor()]), int)
    assert repr(dataset).endswith("Transform: Compose(\n        ToTensor()\n    )\n    Target transform: <class 'int'>")


# Batches -------------------------------------------------------------------------------------------------------------


def with_transform(dataset, transform, target_transform=None, kind=MNIST):
    """The same images in a new data set, a small part of them."""
    twin = kind.__new__(kind)
    twin.__dict__.update(dataset.__dict__, transform=transform, target_transform=target_transform)
    twin.data, twin.targets = dataset.data[:100], dataset.targets[:100]
    return twin


def batches(dataset, **options):
    return list(data.DataLoader(dataset, batch_size=32, **options))


@pytest.mark.parametrize(
    "transform", [None, T.ToTensor(), NORMALIZED, T.Compose([T.CenterCrop(20), NORMALIZED])], ids=repr
)
def test_whole_batches_have_the_bits_of_single_samples(test, transform):
    dataset = with_transform(test, transform)
    fast = batches(dataset)
    slow = batches(dataset, collate_fn=lambda samples: data.default_collate(samples))
    assert [type(b) for b in fast] == [type(b) for b in slow]
    for (x, y), (u, v) in zip(fast, slow, strict=True):
        assert (x.dtype, y.dtype, x.shape) == (u.dtype, v.dtype, u.shape)
        assert np.array_equal(x.numpy(), u.numpy())
        assert np.array_equal(y.numpy(), v.numpy())


def test_whole_batches_are_gathered(test):
    class Watched(MNIST):
        def __getitem__(self, index):
            raise AssertionError("a sample was taken alone")

        __getbatch__ = MNIST.__getbatch__

    assert len(batches(with_transform(test, NORMALIZED, kind=Watched))) == 4
    assert len(batches(data.Subset(with_transform(test, NORMALIZED, kind=Watched), range(40)))) == 2
    augmented = T.Compose([T.RandomCrop(28, 4), T.RandomHorizontalFlip(), T.RandomRotation(5), NORMALIZED])
    assert len(batches(with_transform(test, augmented, kind=Watched))) == 4


def test_what_has_no_batch_form_is_transformed_one_by_one(test):
    doubled = with_transform(test, T.Compose([T.ToTensor(), T.Lambda(lambda x: x * 2)]))
    assert np.array_equal(batches(doubled)[0][0].numpy(), 2 * batches(with_transform(test, T.ToTensor()))[0][0].numpy())
    odd = with_transform(test, None, lambda label: label % 2)
    assert batches(odd)[0][1].tolist() == [label % 2 for label in test.targets[:32].tolist()]

    class Dark(MNIST):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image * 0, label

    assert not batches(with_transform(test, None, kind=Dark))[0][0].numpy().any()


def test_a_batch_is_a_copy(test):
    dataset = with_transform(test, None)
    before = dataset.data.numpy().copy()
    batches(dataset)[0][0].array[...] = 0
    assert np.array_equal(dataset.data.numpy(), before)


def test_changes_of_data_and_transform_are_seen(test):
    dataset = with_transform(test, None)
    loader = data.DataLoader(dataset, batch_size=100)
    assert next(iter(loader))[0].dtype == mg.uint8
    dataset.transform = T.ToTensor()
    assert next(iter(loader))[0].dtype == mg.float32
    dataset.data.array[...] = 255
    assert (next(iter(loader))[0].numpy() == 1).all()


# Where files are found -----------------------------------------------------------------------------------------------


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def little(n, seed=0):
    """The content of two files of a data set of `n` images."""
    rng = np.random.default_rng(seed)
    return idx(rng.integers(0, 256, (n, 28, 28), np.uint8)), idx(rng.integers(0, 10, n, np.uint8))


NAMES = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


class Little(MNIST):
    folder = "little"
    mirrors = ()
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in zip(NAMES, little(3), strict=True)}


def put(folder, contents, pack=gzip.compress, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in zip(NAMES, contents, strict=True):
        (folder / f"{name}{suffix}").write_bytes(pack(content))


@pytest.mark.parametrize("place", [".", "Little/raw", "examples/data/little", "cache/little"])
@pytest.mark.parametrize(("pack", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_places(tmp_path, monkeypatch, place, pack, suffix):
    monkeypatch.chdir(tmp_path)
    root = tmp_path if place in (".", "Little/raw") else tmp_path / "empty"
    put(tmp_path / place, little(3), pack, suffix)
    assert len(Little(str(root))) == 3
    assert Little(root).data.array.tobytes() == little(3)[0][16:]


def test_the_root_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "cache" / "little", little(3))
    put(tmp_path, little(5))
    assert len(Little(tmp_path)) == 5


def test_the_repositorys_files_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(MNIST("data", train=False)) == 10000


def test_what_is_not_found_is_said_with_all_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="download=True") as caught:
        Little("data")
    for place in ("data\n", "data/Little/raw", "examples/data/little", str(tmp_path / "cache/little")):
        assert place in str(caught.value)
    with pytest.raises(RuntimeError, match=r"\[fashion-mnist\] found no train-images"):
        FashionMNIST("data")


@pytest.mark.parametrize(
    ("contents", "text"),
    [
        ((little(3)[1], little(3)[1]), r"uint8 \(3,\), expected uint8 \(N, 28, 28\)"),
        ((little(3)[0], little(4)[1]), r"shape \(4,\), expected \(3,\)"),
        ((little(3)[0], idx(np.uint8([1, 2, 10]))), "labels beyond the expected 0 to 9"),
        ((b"nonsense", little(3)[1]), r"\[read_idx\]"),
    ],
)
def test_files_that_do_not_fit(tmp_path, contents, text):
    put(tmp_path, contents)
    with pytest.raises(ValueError, match=text):
        Little(tmp_path)


# Downloads -----------------------------------------------------------------------------------------------------------


class Mirrors(http.server.BaseHTTPRequestHandler):
    """One server, whose folders are mirrors good and bad."""

    asked = []

    def do_GET(self):
        self.asked.append(self.path)
        kind, name = self.path.strip("/").split("/")
        content = little(3)[name.startswith(NAMES[1])]
        body = {
            "good": gzip.compress(content, 1),
            "plain": content,
            "wrong": gzip.compress(content[:-1] + b"\1"),
            "nonsense": b"<html>moved</html>",
            "damaged": gzip.compress(content)[:-5],
            "endless": bytes(5000),
            "slow": b"",
            "missing": b"",
        }[kind]
        if kind == "slow":
            time.sleep(1)
        self.send_response(404 if kind == "missing" else 200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Mirrors, "asked", [])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirrors) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def mirrored(server, *kinds):
    return type("Little", (Little,), {"mirrors": [f"{server}{kind}/" for kind in kinds]})


@pytest.mark.parametrize("kind", ["good", "plain"])
def test_download(tmp_path, server, kind):
    dataset = mirrored(server, kind)(tmp_path, download=True)
    assert dataset.data.array.tobytes() == little(3)[0][16:]
    assert sorted(p.name for p in (tmp_path / "cache" / "little").iterdir()) == [f"{n}.gz" for n in NAMES]
    assert len(Mirrors.asked) == 2
    again = mirrored(server, kind)(tmp_path, download=True)
    assert len(Mirrors.asked) == 2  # found in the cache
    assert np.array_equal(again.data.numpy(), dataset.data.numpy())


def test_bad_mirrors_are_passed_by(tmp_path, server):
    dataset = mirrored(server, "missing", "wrong", "nonsense", "damaged", "good")(tmp_path, download=True)
    assert len(dataset) == 3
    assert [path.split("/")[1] for path in Mirrors.asked] == ["missing", "wrong", "nonsense", "damaged", "good"] * 2


def test_without_a_good_mirror_all_failures_are_told_and_nothing_is_left(tmp_path, server, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 4000)
    monkeypatch.setattr(download, "SILENCE", 0.1)
    with pytest.raises(RuntimeError) as caught:
        mirrored(server, "missing", "wrong", "damaged", "endless", "slow")(tmp_path, download=True)
    message = str(caught.value)
    assert message.startswith("[download] found no mirror that has train-images-idx3-ubyte.gz, tried:")
    for kind, reason in {
        "missing": "404",
        "wrong": f"expected {Little.sha256[NAMES[0]]}",
        "damaged": "damaged gzip",
        "endless": "expected 4000 in",
        "slow": "timed out",
    }.items():
        assert f"{server}{kind}/{NAMES[0]}.gz: " in message
        assert reason in message
    assert not (tmp_path / "cache").exists()


def test_a_dead_server(tmp_path):
    with pytest.raises(RuntimeError, match="refused"):
        mirrored("http://127.0.0.1:1/", "good")(tmp_path, download=True)


def test_nothing_is_fetched_unasked(tmp_path, server):
    with pytest.raises(RuntimeError, match="download=True fetches it"):
        mirrored(server, "good")(tmp_path)
    assert Mirrors.asked == []


def test_the_cache_folder(monkeypatch, tmp_path):
    assert download.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("MINIGRAD_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / ".cache" / "minigrad"
