"""Random shifts, mirror images and cutout, for a whole batch at once on its device."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from phashopt.training.recipe import Augmentation


def move(pixels: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Shift each image by up to `shift` pixels both ways, borders reflected, and `mirror` half of them.

    One gather for the whole batch (N, C, H, W): rows and columns are index arithmetic, nothing is padded.
    """
    shift = augmentation.shift
    if not shift and not augmentation.mirror:
        return pixels
    count, channels, height, width = pixels.shape
    shifts = torch.randint(-shift, shift + 1, (2, count, 1), generator=generator, device=pixels.device)
    rows = _reflect(torch.arange(height, device=pixels.device) + shifts[0], height)
    columns = _reflect(torch.arange(width, device=pixels.device) + shifts[1], width)
    if augmentation.mirror:
        mirrored = torch.rand((count, 1), generator=generator, device=pixels.device) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    index = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1).expand(-1, channels, -1)
    return pixels.flatten(2).gather(2, index).view_as(pixels)


def cut(images: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Set a `cutout` x `cutout` square of each standardised image (N, C, H, W) to the mean (DeVries 2017)."""
    square = augmentation.cutout
    if not square:
        return images
    count, _, height, width = images.shape
    corner = torch.rand((2, count, 1), generator=generator, device=images.device)
    rows, columns = _covered(corner[0], height, square), _covered(corner[1], width, square)
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def _reflect(index: Tensor, side: int) -> Tensor:
    return (side - 1) - ((side - 1) - index.abs()).abs()


def _covered(corner: Tensor, side: int, square: int) -> Tensor:
    """Whether each of `side` positions lies in the square whose centre is drawn uniformly over the side."""
    start = (corner * side).floor() - square // 2
    positions = torch.arange(side, device=corner.device)
    return (positions >= start) & (positions < start + square)
