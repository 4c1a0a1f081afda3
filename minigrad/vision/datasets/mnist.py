"""mnist: MNIST, and Fashion-MNIST, which took over its form.

Reading order: `MNIST`, its lookup, `FashionMNIST`.
"""

from pathlib import Path

import numpy as np

from minigrad.tensor import wrap
from minigrad.utils.data.dataset import Dataset
from minigrad.vision.datasets import idx
from minigrad.vision.datasets.download import cache_folder, download
from minigrad.vision.transforms.base import batch_of

REPOSITORY = Path(__file__).resolve().parents[3]


class MNIST(Dataset):
    """Handwritten digits: 60,000 images to train on and 10,000 to test, (28, 28) uint8, with labels 0 to 9.

    The files are looked for in `root`, in root/MNIST/raw (where torchvision puts them), in examples/data/mnist of
    minigrad's repository and of the current directory, and in the cache ($MINIGRAD_CACHE or ~/.cache/minigrad).

    Args:
        root: a folder.
        train: the training images, or the test images.
        transform: applied to each image, which is a uint8 Tensor (H, W) (torchvision: a PIL image). Transforms of
            `minigrad.vision.transforms` are applied to whole batches where a DataLoader wants batches.
        target_transform: applied to each label, which is an int.
        download: fetch files that are not found into the cache.
    Attributes: data, uint8 Tensor (N, 28, 28); targets, int64 Tensor (N,); classes, names in the order of the labels.
    Errors: RuntimeError if the files are not found or cannot be fetched, ValueError if they are not what they should
        be.
    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, 1998.
    """

    folder = "mnist"
    mirrors: tuple[str, ...] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    )
    sha256 = {  # of the decompressed files
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
    classes = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
        "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        self.root, self.train, self.transform, self.target_transform = root, train, transform, target_transform
        images, labels = (self._find(name, download) for name in self._names())
        self.data = idx.read_idx(images)
        self.targets = wrap(idx.read_idx(labels).array.astype(np.int64))
        self._check(images, labels)

    def _names(self):
        return [name for name in self.sha256 if name.startswith("train") == bool(self.train)]

    def _places(self):
        examples = Path("examples", "data", self.folder)
        root = Path(self.root)
        return [
            root,
            root / type(self).__name__ / "raw",
            REPOSITORY / examples,
            Path.cwd() / examples,
            cache_folder() / self.folder,
        ]

    def _find(self, name, may_download):
        for place in self._places():
            for path in (place / f"{name}.gz", place / name):
                if path.is_file():
                    return path
        if not may_download:
            places = "\n".join(f"    {place}" for place in self._places())
            raise RuntimeError(
                f"[{self.folder}] found no {name}[.gz], expected it in one of\n{places}\n(download=True fetches it)"
            )
        path = cache_folder() / self.folder / f"{name}.gz"
        download([f"{mirror}{name}.gz" for mirror in self.mirrors], path, self.sha256[name])
        return path

    def _check(self, images, labels):
        data, targets = self.data, self.targets
        if data.dtype != np.uint8 or data.shape != (len(data), 28, 28):
            raise ValueError(f"[{self.folder}] {images} has {data.dtype} {data.shape}, expected uint8 (N, 28, 28)")
        if targets.shape != (len(data),):
            raise ValueError(f"[{self.folder}] {labels} has shape {targets.shape}, expected {(len(data),)}")
        if len(data) and not 0 <= targets.array.min() <= targets.array.max() < len(self.classes):
            raise ValueError(f"[{self.folder}] {labels} has labels beyond the expected 0 to {len(self.classes) - 1}")

    @property
    def class_to_idx(self):
        return {name: i for i, name in enumerate(self.classes)}

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        img, target = wrap(self.data.array[index]), int(self.targets.array[index])
        img = img if self.transform is None else self.transform(img)
        return img, target if self.target_transform is None else self.target_transform(target)

    def __getbatch__(self, indices):
        if self.target_transform is not None:
            return NotImplemented
        rows = np.asarray(indices, np.int64)
        images = batch_of(self.transform, self.data.array[rows])
        return NotImplemented if images is NotImplemented else [wrap(images), wrap(self.targets.array[rows])]

    def __repr__(self):
        lines = [
            f"Dataset {type(self).__name__}",
            f"Number of datapoints: {len(self)}",
            f"Root location: {self.root}",
            f"Split: {'Train' if self.train else 'Test'}",
        ]
        transforms = [("Transform", self.transform), ("Target transform", self.target_transform)]
        lines += [f"{name}: {t!r}".replace("\n", "\n    ") for name, t in transforms if t is not None]
        return "\n    ".join(lines)


class FashionMNIST(MNIST):
    """Pictures of clothes in the form of MNIST, and harder: 60,000 to train on, 10,000 to test, ten classes.

    Arguments, attributes and errors as MNIST; looked for under FashionMNIST/raw and fashion-mnist instead.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms,
        2017.
    """

    folder = "fashion-mnist"
    mirrors = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    sha256 = {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
    classes = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip
