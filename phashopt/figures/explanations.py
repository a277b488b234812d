"""Where a class's score comes from, picture by picture: the paper's Fig. 7 and 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phashopt.figures.grid import Row, picture_grid
from phashopt.figures.maps import image_pixels, map_pixels
from phashopt.figures.similarity import COLOURS

COVER = 0.8  # of the image, by the greatest heat
CLIPPED = 99.0  # percentile of absolute values that is shown as the extreme

CAM_CAPTION = (
    "First convolution: {first}; last: {last}. Grad-CAM (eq. 1) takes a layer's maps behind their activation, weighs "
    "each by how much it raises the score of the class the network chose, cuts off what is negative, and enlarges the "
    "sum to the image. Colours run from 0, bare, to each picture's own largest value: compare places within a picture, "
    "not strengths between pictures. Evidence of where the chosen class finds support, as coarse as the maps are; the "
    "first layer's maps belong to no class yet, so little is to be read there."
)
GUIDED_CAPTION = (
    "Guided backpropagation mostly redraws edges of the image and hardly changes when the weights of later layers are "
    "drawn anew (Adebayo et al. 2018): evidence of what is in the image, not of what the class rests on. Grad-CAM does "
    "change, and says where; Guided Grad-CAM is their product, so only its places are evidence, its edges are not. "
    "Grey is zero; black and white are the picture's own extremes (99th percentile). All for the class the network "
    "chose."
)


@dataclass(frozen=True)
class Explained:
    """One image and what was said of it; heat maps are (H, W) >= 0 in the image's size."""

    label: str
    image: NDArray[np.uint8]  # (C, H, W)
    first: NDArray[np.floating]  # Grad-CAM of the first convolution
    last: NDArray[np.floating]  # Grad-CAM of the last convolution
    guided: NDArray[np.floating]  # guided backpropagation, (C, H, W)
    product: NDArray[np.floating]  # Guided Grad-CAM, (C, H, W)


def grad_cam_sheet(title: str, first: str, last: str, explained: Sequence[Explained]) -> Figure:
    """Fig. 7: input, Grad-CAM of the layer called `first`, Grad-CAM of the layer called `last`."""
    heads = ["input", "first convolution", "last convolution"]
    rows = [
        Row(one.label, [image_pixels(one.image), heat_pixels(one.image, one.first), heat_pixels(one.image, one.last)])
        for one in explained
    ]
    return picture_grid(title, heads, rows, CAM_CAPTION.format(first=first, last=last), _over_grey())


def guided_sheet(title: str, explained: Sequence[Explained]) -> Figure:
    """Fig. 8: original, guided backpropagation, Grad-CAM, Guided Grad-CAM."""
    heads = ["original", "guided backprop.", "Grad-CAM", "Guided Grad-CAM"]
    rows = [
        Row(
            one.label,
            [
                image_pixels(one.image),
                map_pixels(clipped(one.guided)),
                heat_pixels(one.image, one.last),
                map_pixels(clipped(one.product)),
            ],
        )
        for one in explained
    ]
    return picture_grid(title, heads, rows, GUIDED_CAPTION, _over_grey())


def heat_pixels(image: NDArray[np.uint8], heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """(H, W, 3): `heat` (H, W) from 0 to its own peak, laid over the grey image, which no heat at all leaves bare."""
    peak = heat.max()
    share = heat / peak if peak > 0 else np.zeros_like(heat)
    return _laid_over(image_pixels(image).mean(2, keepdims=True), share)


def clipped(signal: NDArray[np.floating]) -> NDArray[np.floating]:
    """`signal` cut off at the 99th percentile of its absolute values, so that single pixels do not dim the rest."""
    bound = np.percentile(np.abs(signal), CLIPPED)
    return np.clip(signal, -bound, bound) if bound > 0 else signal


def _laid_over(grey: NDArray[np.float64], share: NDArray[np.floating]) -> NDArray[np.float64]:
    """The more heat, the more colour: `grey` (..., 1) shows through where `share` (...) of the peak is small."""
    cover = COVER * share[..., None]
    mixed: NDArray[np.float64] = cover * np.asarray(COLOURS(share))[..., :3] + (1 - cover) * grey
    return mixed


def _over_grey() -> Colormap:
    """The scale as it looks on mid-grey."""
    return ListedColormap(_laid_over(np.full((256, 1), 0.5), np.linspace(0, 1, 256)))
