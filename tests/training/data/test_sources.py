from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from phashopt.errors import DataError, UserError
from phashopt.training.data import load_raw, sources


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (20, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = {"L": 90, "RGB": (200, 10, 10), "RGBA": (200, 10, 10, 128), "P": 3}
    Image.new(mode, size, colours[mode]).save(path)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_digits_are_the_real_scans() -> None:
    raw = load_raw("digits", Path())
    assert raw.images.shape == (1797, 1, 8, 8)
    assert (raw.images.min(), raw.images.max()) == (0, 255)
    assert raw.classes == tuple("0123456789")
    assert not raw.mirrored
    scans = load_digits()
    assert (raw.images[:, 0] == np.round(scans.images * 255 / 16)).all()
    assert (raw.labels == scans.target).all()


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="digits, mnist, fashion_mnist, cifar10, cifar100, svhn or folder:PATH"):
        load_raw("imagenet", Path())


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100", "svhn"])
def test_an_absent_set_names_the_places_looked_in(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        load_raw(name, tmp_path, download=False)


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    rng = np.random.default_rng(0)
    for half, count in (("train", 30), ("t10k", 10)):
        write_idx(package / f"{half}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(package / f"{half}-labels-idx1-ubyte.gz", rng.integers(0, 10, count, dtype=np.uint8))
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", package)
    raw = load_raw("fashion_mnist", tmp_path / "data", download=False)
    assert raw.images.shape == (30, 1, 28, 28)
    assert raw.test is not None
    assert raw.test[0].shape == (10, 1, 28, 28)


def test_a_folder_of_mixed_images_becomes_squares_of_one_size(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "grey.png", "L")
    picture(tmp_path / "cat" / "clear.png", "RGBA", (9, 40))
    picture(tmp_path / "dog" / "palette.png", "P")
    raw = load_raw(f"folder:{tmp_path}", Path(), size=16)
    assert raw.images.shape == (3, 3, 16, 16)
    assert raw.classes == ("cat", "dog")
    assert raw.labels.tolist() == [0, 0, 1]
    assert raw.test is None


def test_a_folder_may_bring_its_own_test_split(tmp_path: Path) -> None:
    for half in ("train", "test"):
        picture(tmp_path / half / "cat" / "1.png")
        picture(tmp_path / half / "dog" / "1.png")
    raw = load_raw(f"folder:{tmp_path}", Path(), size=8)
    assert raw.test is not None
    assert raw.test[0].shape == (2, 3, 8, 8)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    picture(tmp_path / "cat" / "1.png")
    (tmp_path / "cat" / "broken.png").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.png cannot be read as an image; mend or remove it"):
        load_raw(f"folder:{tmp_path}", Path(), size=8)


def test_an_image_that_no_memory_would_hold_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    picture(tmp_path / "cat" / "huge.png", size=(20, 20))
    with pytest.raises(DataError, match=r"huge\.png cannot be read as an image"):
        load_raw(f"folder:{tmp_path}", Path(), size=8)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "cat" / "half.png", size=(200, 200))
    whole = (tmp_path / "cat" / "half.png").read_bytes()
    (tmp_path / "cat" / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"half\.png"):
        load_raw(f"folder:{tmp_path}", Path(), size=8)


@pytest.mark.parametrize("kind", ["missing", "empty", "classless"])
def test_a_folder_that_holds_no_classes_says_what_it_wants(tmp_path: Path, kind: str) -> None:
    root = tmp_path / kind
    if kind != "missing":
        root.mkdir()
    if kind == "classless":
        picture(root / "1.png")
    with pytest.raises(DataError, match="CLASS/IMAGE"):
        load_raw(f"folder:{root}", Path())


def test_halves_with_different_classes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "cat" / "1.png")
    picture(tmp_path / "test" / "dog" / "1.png")
    with pytest.raises(DataError, match="different classes"):
        load_raw(f"folder:{tmp_path}", Path())
