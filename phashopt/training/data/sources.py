"""Where images come from: scikit-learn's digits, torchvision's data sets in torchvision's layout, a user's folder."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass, replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch.nn import functional as F

from phashopt.errors import DataError, UserError
from phashopt.training.datasets import SOURCES
from phashopt.training.files import save_bytes

DIGITS = "sklearn/datasets/data/digits.csv.gz"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
SHIFTED_ONLY = frozenset({"digits", "mnist", "svhn"})  # a mirrored digit is another sign
TEST_SHARE = 0.2  # of sets that come without a test split
AVERAGED_AT_ONCE = 10_000  # images, as floats
TEST_SEED = 0  # the test split is one and the same in every study


@dataclass(frozen=True)
class RawData:
    """A data set as bytes: images (N, C, H, W) uint8, labels (N,) int64; its own test split or none."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    test: tuple[NDArray[np.uint8], NDArray[np.int64]] | None
    classes: tuple[str, ...]
    mirrored: bool  # whether a mirrored image still belongs to its class


def load_raw(dataset: str, data_dir: Path, *, size: int = 64, download: bool = True) -> RawData:
    """Load a data set named as in a spec: one of `SOURCES` or `folder:PATH`.

    A folder's images are resized to `size` pixels a side, others averaged down to it where they are larger.

    Looked for in `data_dir`, then where Debian's package puts it, then downloaded. Raises `DataError` naming the
    places looked in or the file that cannot be read, `UserError` for an unknown name.
    """
    if dataset.startswith("folder:"):
        return _folder(Path(dataset.removeprefix("folder:")).expanduser(), size)
    if dataset not in SOURCES:
        raise UserError(f"data.dataset: there is no {dataset!r}; take one of {', '.join(SOURCES)} or folder:PATH")
    raw = _digits() if dataset == "digits" else _torchvision(dataset, data_dir, download)
    test = None if raw.test is None else (averaged(raw.test[0], size), raw.test[1])
    return replace(raw, images=averaged(raw.images, size), test=test)


def averaged(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Images (N, C, H, W) averaged down to `size` pixels a side; as they are where they are no larger."""
    if max(images.shape[2:]) <= size:
        return images
    batches = torch.from_numpy(images).split(AVERAGED_AT_ONCE)
    small = torch.cat([F.adaptive_avg_pool2d(batch.float(), size).round().byte() for batch in batches])
    return np.asarray(small.numpy())


def _digits() -> RawData:
    """Read from scikit-learn's file: importing scikit-learn would take a worker's start some seconds."""
    table = np.loadtxt(str(distribution("scikit-learn").locate_file(DIGITS)), delimiter=",", dtype=np.uint8)
    images = np.round(table[:, :-1].reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)  # 16 grey levels
    return RawData(images, table[:, -1].astype(np.int64), None, tuple(map(str, range(10))), mirrored=False)


def _torchvision(dataset: str, data_dir: Path, download: bool) -> RawData:
    looked = [str(data_dir)]
    if dataset == "fashion_mnist":
        looked.append(f"{DEBIAN_FASHION_MNIST} (Debian package dataset-fashion-mnist)")
    try:
        if dataset == "fashion_mnist":
            _unpack_debian_fashion_mnist(data_dir)
        train, test = _find(dataset, data_dir, download)
    except (RuntimeError, OSError) as error:
        places = ", ".join(looked)
        raise DataError(f"{dataset} is not in {places}, nor can it be downloaded: give --data-dir") from error
    images, labels = _arrays(train)
    classes = tuple(map(str, getattr(train, "classes", range(int(labels.max()) + 1))))
    return RawData(images, labels, _arrays(test), classes, mirrored=dataset not in SHIFTED_ONLY)


def _find(dataset: str, data_dir: Path, download: bool) -> tuple[Any, Any]:
    """Training and test part; a download that fails leaves no new folder behind."""
    try:
        return _both(dataset, data_dir, download=False)
    except RuntimeError:
        if not download:
            raise
    new = not data_dir.exists()
    try:
        return _both(dataset, data_dir, download=True)
    except (RuntimeError, OSError):
        if new:
            shutil.rmtree(data_dir, ignore_errors=True)
        raise


def _both(dataset: str, data_dir: Path, *, download: bool) -> tuple[Any, Any]:
    from torchvision import datasets

    named = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST}
    named |= {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
    if dataset == "svhn":
        halves = ({"split": "train"}, {"split": "test"})
        return tuple(datasets.SVHN(str(data_dir), download=download, **half) for half in halves)
    return tuple(named[dataset](str(data_dir), train=train, download=download) for train in (True, False))


def _arrays(dataset: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """torchvision keeps MNIST as (N, H, W), SVHN as (N, C, H, W) and CIFAR as (N, H, W, C)."""
    images = np.asarray(dataset.data)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] != 3:
        images = images.transpose(0, 3, 1, 2)
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    return np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64)


def _unpack_debian_fashion_mnist(data_dir: Path) -> None:
    raw = data_dir / "FashionMNIST" / "raw"
    for packed in DEBIAN_FASHION_MNIST.glob("*-ubyte.gz"):
        if not (raw / packed.stem).exists():
            save_bytes(raw / packed.stem, gzip.decompress(packed.read_bytes()))


def _folder(root: Path, size: int) -> RawData:
    """ROOT/CLASS/IMAGE, or ROOT/train/CLASS/IMAGE and ROOT/test/CLASS/IMAGE."""
    split = (root / "train").is_dir() and (root / "test").is_dir()
    train, classes = _read_folder(root / "train" if split else root, size)
    test = None
    if split:
        test, test_classes = _read_folder(root / "test", size)
        if test_classes != classes:
            raise DataError(f"{root}: train and test hold different classes; give both the same class folders")
    return RawData(*train, test, classes, mirrored=True)


def _read_folder(root: Path, size: int) -> tuple[tuple[NDArray[np.uint8], NDArray[np.int64]], tuple[str, ...]]:
    from torchvision.datasets import ImageFolder

    if root == Path() or not root.is_dir():  # an empty path would be the current folder
        raise DataError(f"{root} is no folder; data.dataset = 'folder:PATH' wants PATH/CLASS/IMAGE files")
    try:
        folder = ImageFolder(str(root))
    except FileNotFoundError as error:
        said = str(error).splitlines()[0].partition(str(root))[0].rstrip(". ")
        raise DataError(f"{root}: {said} in it; it wants CLASS/IMAGE files") from error
    images = np.stack([read_image(Path(path), size) for path, _ in folder.samples])
    labels = np.array([label for _, label in folder.samples], dtype=np.int64)
    return (images, labels), tuple(folder.classes)


def read_image(path: Path, size: int) -> NDArray[np.uint8]:
    """RGB, the central square, `size` pixels a side."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an image; mend or remove it") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(square, dtype=np.uint8).transpose(2, 0, 1)
