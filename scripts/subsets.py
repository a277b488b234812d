"""Small tasks for measurements: a few thousand images, halved to 14x14 where they are larger than scans of digits."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional as F

from phashopt.training.data import DataSet, RawData, load_raw, prepare

LARGE = 20  # pixels a side from which images are halved


def subset(folder: Path, name: str, images: int, validation: float) -> DataSet:
    """`images` of the training split, class-balanced, a share of them for validation; the test split stays closed."""
    raw = load_raw(name, folder)
    if raw.images.shape[2] >= LARGE:
        halved = F.avg_pool2d(torch.from_numpy(raw.images).float(), 2).round().to(torch.uint8).numpy()
        raw = RawData(halved, raw.labels, (halved[:1], raw.labels[:1]), raw.classes, raw.mirrored)
    return prepare(raw, validation=validation, limit=images, seed=0, device=torch.device("cpu"))
