"""Which images the report's pictures are made of: classes by name, files of the reader's own, or one of each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from phashopt.errors import UserError, meant
from phashopt.inspection.probes import Probes, resized, with_channels
from phashopt.plans import ImageShape
from phashopt.report.exhibit import Exhibit
from phashopt.training.data import DataSet, Images, Standardisation
from phashopt.training.data.sources import read_image

SHOWN = 6  # classes, unless they are named


def choose(
    data: DataSet | None, exhibits: Sequence[Exhibit], classes: Sequence[str], files: Sequence[Path]
) -> Probes | None:
    """The images asked for; None where neither the study's images are at hand nor files are named.

    Raises `UserError` for files without a network to show them to.
    """
    if files:
        subject = next((exhibit.subject for exhibit in exhibits if exhibit.subject), None)
        if subject is None or subject.image is None or subject.standardisation is None:
            raise UserError("--images: neither baseline nor best has left a network to show them to; leave it out")
        return of_files(files, subject.image, subject.standardisation)
    return of_classes(data, classes) if data is not None else None


def of_classes(data: DataSet, names: Sequence[str] = ()) -> Probes:
    """The first validation image of each class called in `names`, by default of six classes evenly spaced.

    Raises `UserError` naming the nearest class for one that is not there.
    """
    chosen = [_class(name, data.classes) for name in names] or _evenly(len(data.classes))
    labels = data.validation.labels.cpu()
    found = [int((labels == label).nonzero()[0]) for label in chosen if bool((labels == label).any())]
    return _probes(data.validation, found, data.classes)


def of_files(paths: Sequence[Path], shape: ImageShape, standardisation: Standardisation) -> Probes:
    """The central squares of image files, made as the network wants them; `UserError` for what is no image."""
    for path in paths:
        if not path.is_file():
            raise UserError(f"there is no image {path}; give --images files, with commas between them")
    side = max(shape.height, shape.width)
    squares = np.stack([read_image(path, side) for path in paths])
    pixels = resized(torch.from_numpy(with_channels(squares, shape.channels)), (shape.height, shape.width))
    feed = Images(pixels, torch.zeros(len(pixels), dtype=torch.long), standardisation)
    return Probes(pixels.numpy(), feed.standardise(pixels), [path.stem for path in paths], standardisation)


def _probes(images: Images, indices: list[int], classes: Sequence[str]) -> Probes:
    pixels = images.pixels[indices]
    labels = [classes[label] for label in images.labels[indices].tolist()]
    return Probes(pixels.cpu().numpy(), images.standardise(pixels).cpu(), labels, images.standardisation)


def _class(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return classes.index(name)
    raise UserError(f"--classes: there is no class {name!r}{meant(name, classes)}")


def _evenly(classes: int) -> list[int]:
    return [place * classes // min(SHOWN, classes) for place in range(min(SHOWN, classes))]
