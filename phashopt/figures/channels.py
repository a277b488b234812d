"""The same kernels seen through many images, whole maps and strongest positions: the paper's Fig. 5(a) and 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phashopt.figures.grid import Row, picture_grid
from phashopt.figures.maps import image_pixels, map_pixels

CAPTION = (
    "Deconvnet reconstructions (Zeiler & Fergus 2014). One scale a row: grey is zero, black or white the row's largest "
    "value, so strengths compare along a row. A reconstruction partly recovers the image whatever the weights are "
    "(Nie et al. 2018): evidence of which parts of an image pass this kernel, and of how kernels differ, not of what a "
    "class rests on."
)


def channel_sheet(
    title: str,
    images: Sequence[NDArray[np.uint8]],
    kernels: Mapping[int, Mapping[str, NDArray[np.floating]]],
    labels: Sequence[str] = (),
) -> Figure:
    """`images` (C, H, W) under their `labels`, or numbers; for each kernel named rows of its reconstructions.

    Those are (N, C, H, W).
    """
    rows = [Row("images", [image_pixels(image) for image in images])]
    for kernel, parts in kernels.items():
        rows += [Row(f"kernel {kernel}\n{name}", row_pixels(maps)) for name, maps in parts.items()]
    return picture_grid(title, labels or [str(number) for number in range(len(images))], rows, CAPTION)


def row_pixels(maps: NDArray[np.floating]) -> list[NDArray[np.float64]]:
    """(N, C, H, W) to N pictures (H, W, 3) on one scale, as `map_pixels` draws one."""
    strip = map_pixels(np.concatenate(list(maps), axis=2))
    return np.split(strip, len(maps), axis=1)
