"""A few images of a data set, shaped as a network wants them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from phashopt.errors import UserError
from phashopt.training.data import Images, RawData, Standardisation, choose_probes
from phashopt.training.data.sources import TEST_SEED, TEST_SHARE
from phashopt.training.data.split import stratified

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow turns colour to grey


@dataclass(frozen=True)
class Probes:
    """N images as bytes, to be shown, and standardised, to be fed."""

    pixels: NDArray[np.uint8]  # (N, C, H, W)
    images: Tensor  # (N, C, H, W) float32
    labels: list[str]
    standardisation: Standardisation

    def __len__(self) -> int:
        return len(self.pixels)


def take_probes(
    raw: RawData, count: int, channels: int, size: tuple[int, int] | None, standardisation: Standardisation | None
) -> Probes:
    """`count` training images of `raw`, class-balanced, none of them flat, with `channels` and of `size` (H, W).

    Their own size without `size`; standardised by the training images' statistics without `standardisation`. Raises
    `UserError` where the channels cannot be converted or are not those that `standardisation` is for.
    """
    images, labels = _training_part(raw)
    images = with_channels(images, channels)
    uneven = (images.max((1, 2, 3)) > images.min((1, 2, 3))).nonzero()[0]
    known = standardisation or Standardisation.of(images)
    if len(known.mean) != channels or len(known.std) != channels:
        raise UserError(f"the network takes {channels} channels, mean and std have {len(known.mean)}, {len(known.std)}")
    pool = Images(torch.from_numpy(images[uneven]), torch.from_numpy(labels[uneven]), known)
    chosen = choose_probes(pool, count, seed=0)
    pixels = pool.pixels[chosen] if size is None else resized(pool.pixels[chosen], size)
    names = [raw.classes[label] for label in pool.labels[chosen].tolist()]
    return Probes(pixels.numpy(), pool.standardise(pixels), names, known)


def labelled_images(
    raw: RawData, count: int, channels: int, size: tuple[int, int], standardisation: Standardisation | None
) -> Images:
    """As many training images of `raw` with their labels, class-balanced and in a random order; converted as probes."""
    images, labels = _training_part(raw)
    images = with_channels(images, channels)
    pool = Images(torch.from_numpy(images), torch.from_numpy(labels), standardisation or Standardisation.of(images))
    chosen = choose_probes(pool, count, seed=0)
    chosen = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(0))]
    return Images(resized(pool.pixels[chosen], size), pool.labels[chosen], pool.standardisation)


def with_channels(images: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """(N, C, H, W) as grey (luma) or three equal colours; `UserError` for any other change."""
    given = images.shape[1]
    if given == channels:
        return images
    if given == 1:
        return np.repeat(images, channels, axis=1)
    if (given, channels) == (3, 1):
        return np.stack([np.round(np.tensordot(LUMA, image, 1)).astype(np.uint8)[None] for image in images])
    raise UserError(f"the network's first convolution takes {channels} channels, the images have {given}")


def resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Bytes (N, C, H, W) to `size` (H, W), bilinearly, averaging where it shrinks."""
    if tuple(pixels.shape[2:]) == size:
        return pixels
    return F.interpolate(pixels.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255).to(torch.uint8)


def _training_part(raw: RawData) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Without the test split, which in a set that brings none is the same fifth as in every study."""
    if raw.test is not None:
        return raw.images, raw.labels
    kept, _ = stratified(raw.labels, [1 - TEST_SHARE, TEST_SHARE], TEST_SEED)
    return raw.images[kept], raw.labels[kept]
