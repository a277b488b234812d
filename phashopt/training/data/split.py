"""Which images a search trains on, scores on, never scores, and never sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phashopt.errors import DataError
from phashopt.plans import ImageShape
from phashopt.training.data.images import Images, Standardisation
from phashopt.training.data.sources import TEST_SEED, TEST_SHARE, RawData


@dataclass(frozen=True)
class Splits:
    """Indices into the training images; `held_out` is neither trained on nor scored by a search."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    held_out: NDArray[np.int64]


@dataclass(frozen=True)
class DataSet:
    """A data set ready for training. `held_out` is None unless the spec sets images aside."""

    train: Images
    validation: Images
    held_out: Images | None
    test: Images
    classes: tuple[str, ...]
    mirrored: bool
    hash: str

    @property
    def shape(self) -> ImageShape:
        """Shape of one image."""
        return ImageShape(*self.train.pixels.shape[1:])


def prepare(
    raw: RawData, *, validation: float, held_out: float = 0.0, limit: int | None = None, seed: int, device: torch.device
) -> DataSet:
    """Split `raw` with the shares of its training images and put it on `device` as bytes.

    `limit` keeps that many training images, to a whole number of each class, before anything is split. A set without a
    test split gives a fifth of its images to one, the same in every study. Raises `DataError` if a class is too small
    to split.
    """
    images, labels, test = raw.images, raw.labels, raw.test
    if test is None:
        rest, taken = stratified(labels, [1 - TEST_SHARE, TEST_SHARE], TEST_SEED)
        test = images[taken], labels[taken]
        images, labels = images[rest], labels[rest]
    if limit is not None and limit < len(labels):
        kept, _ = stratified(labels, [limit / len(labels), 1 - limit / len(labels)], seed)
        if not len(kept):
            raise DataError(f"{limit} images are none of each of {len(np.unique(labels))} classes: raise data.limit")
        images, labels = images[kept], labels[kept]
    splits = Splits(*stratified(labels, [1 - validation - held_out, validation, held_out], seed))
    if not len(splits.train) or not len(splits.validation):
        mend = "add some" if limit is None else "raise data.limit"
        raise DataError(f"{len(labels)} training images are too few to split so: {mend}, or change data.validation")
    standardisation = Standardisation.of(images[splits.train])

    def on_device(pixels: NDArray[np.uint8], targets: NDArray[np.int64]) -> Images:
        return Images(torch.from_numpy(pixels).to(device), torch.from_numpy(targets).to(device), standardisation)

    return DataSet(
        train=on_device(images[splits.train], labels[splits.train]),
        validation=on_device(images[splits.validation], labels[splits.validation]),
        held_out=on_device(images[splits.held_out], labels[splits.held_out]) if len(splits.held_out) else None,
        test=on_device(*test),
        classes=raw.classes,
        mirrored=raw.mirrored,
        hash=_hash(images, labels, splits),
    )


def stratified(labels: NDArray[np.int64], shares: list[float], seed: int) -> list[NDArray[np.int64]]:
    """Disjoint, sorted index arrays with the given shares (they sum to 1) of every class, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        bounds = np.round(np.cumsum(shares) * len(members)).astype(int)
        for part, indices in zip(parts, np.split(members, bounds[:-1]), strict=True):
            part.append(indices)
    return [np.sort(np.concatenate(part)) for part in parts]


def choose_probes(images: Images, count: int, seed: int) -> Tensor:
    """Indices (count,) of class-balanced probe images among `images`: round after round, one of each class."""
    rng = np.random.default_rng(seed)
    labels = images.labels.cpu().numpy()
    order = rng.permutation(len(labels))
    rank_in_class = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank_in_class[members] = np.arange(len(members))
    chosen = sorted(order, key=lambda index: rank_in_class[index])[:count]
    return torch.tensor(np.sort(chosen), device=images.device)


def sample(images: Images, count: int) -> Tensor:
    """(n, C, H, W) pixels of up to `count` images that stand for all, in random order: files may be sorted by class."""
    chosen = choose_probes(images, count, seed=0).cpu()
    mixed = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))
    return images.pixels[chosen[mixed].to(images.device)]


def _hash(images: NDArray[np.uint8], labels: NDArray[np.int64], splits: Splits) -> str:
    digest = hashlib.sha256(images.tobytes())
    for array in (labels, splits.train, splits.validation, splits.held_out):
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
