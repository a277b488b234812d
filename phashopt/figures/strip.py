"""The learning process of a layer: chosen kernels and what they let through, epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phashopt.figures.grid import Row, picture_grid
from phashopt.figures.maps import image_pixels, map_pixels

CAPTION = (
    "The same kernels on the same training image (top left) after ever more training; epoch 0 is the random draw. "
    "Every picture is scaled by its own largest value, grey is zero: compare shapes along a row, not strengths; one "
    "all grey lets nothing of this image through. Even random kernels redraw the image, so look for what changes, and "
    "for when it stops changing."
)


def film_strip(
    title: str,
    image: NDArray[np.uint8],
    epochs: Sequence[int],
    maps: Mapping[int, NDArray[np.integer]],
    weights: Mapping[int, NDArray[np.integer]],
) -> Figure:
    """Rows of `maps` (E, C, H, W) by kernel, each under its `weights` (E, C, k, k) where the layer sees the image."""
    first = [image_pixels(image)] + [np.ones((*image.shape[1:], 3))] * (len(epochs) - 1)
    rows = [Row("image", first)]
    for kernel, frames in maps.items():
        if kernel in weights:
            rows.append(Row(f"kernel {kernel}\nweights", [map_pixels(frame) for frame in weights[kernel]]))
        rows.append(Row(f"kernel {kernel}\nreconstruction", [map_pixels(frame) for frame in frames]))
    return picture_grid(title, [f"epoch {epoch}" for epoch in epochs], rows, CAPTION)
