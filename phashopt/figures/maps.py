"""All reconstructed maps of a layer as sheets, similar ones in boxes: the paper's Fig. 9, 11 and 13."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from phashopt.figures.labels import group_letter, group_ranks
from phashopt.figures.palette import FAINT_INK, GROUPS, INK, NO_DATA, PAPER
from phashopt.signal.redundancy import NEAR, SAME, groups_alike

PAGE = 64
COLUMNS = 8
MARGIN = 0.1  # around a map, in map widths
STRIP = 0.24  # above a map, for its number and letter
INCH = 0.72  # width of a cell
HEAD = 0.8
LOOSER = (NEAR, 0.75, 0.70)  # similarities at which groups are looked for where there is none at 0.90

EVIDENCE = "Left: the image. Maps show what of it passes a kernel, not what a class rests on."


def map_sheets(
    maps: NDArray[np.floating],
    groups: NDArray[np.integer],
    title: str,
    image: NDArray[np.uint8],
    similarity: NDArray[np.floating] | None = None,
) -> Iterator[Figure]:
    """The K maps in the order of their kernels, 64 to a figure; every figure also shows the probe image.

    `maps` is (K, C, H, W), `groups` (K,) with a negative number for a dead kernel, which is crossed out, `image`
    (C, H, W). A kernel that lives but shows nothing of this image is marked as silent. Groups of two and more are boxed
    in a colour and named by a letter, the largest A. Where there is none, `similarity` (K, K) tells which kernels are
    nearest: the groups at the highest of `LOOSER` that has any get dashed boxes.
    """
    groups, level = _boxed(groups, similarity)
    ranks, dashed = group_ranks(groups), level < SAME
    note = f"No two kernels are alike at S = {SAME:.2f}; dashed boxes: at {level:.2f}." if dashed else ""
    kernels, aspect = len(maps), maps.shape[2] / maps.shape[3]
    for start in range(0, kernels, PAGE):
        chosen = range(start, min(start + PAGE, kernels))
        pages = f", kernels {chosen.start} to {chosen.stop - 1}" if kernels > PAGE else ""
        figure, axes = _sheet(len(chosen), aspect, title + pages, note, image)
        for place, kernel in enumerate(chosen):
            left, top = _corner(place, aspect)
            axes.text(left, top - STRIP / 2, str(kernel), size=7, va="center_baseline", color=INK)
            if groups[kernel] < 0:
                _cross(axes, left, top, aspect)
            else:
                _map(axes, left, top, aspect, maps[kernel])
            if groups[kernel] in ranks:
                _box(axes, left, top, aspect, ranks[int(groups[kernel])], dashed=dashed)
        yield figure


def _boxed(groups: NDArray[np.integer], similarity: NDArray[np.floating] | None) -> tuple[NDArray[np.integer], float]:
    """`groups`, those at S = 0.90, if any has two kernels, else the first that are looser; and their level."""
    if similarity is not None and not group_ranks(groups):
        for level in LOOSER:
            looser = groups_alike(similarity, groups >= 0, level)
            if group_ranks(looser):
                return looser, level
    return groups, SAME


def map_pixels(signal: NDArray[np.floating]) -> NDArray[np.float64]:
    """(C, H, W) -> (H, W, 3) in [0, 1]: zero is mid-grey, the map's own largest absolute value black or white.

    Three channels are colour; any other number is averaged to grey. A map without a finite value is mid-grey.
    """
    planes = np.nan_to_num(signal.astype(np.float64), posinf=0.0, neginf=0.0)
    if len(planes) != 3:
        planes = np.repeat(planes.mean(axis=0, keepdims=True), 3, axis=0)
    peak = np.abs(planes).max()
    return np.moveaxis(0.5 + planes / (2 * peak) if peak > 0 else np.full_like(planes, 0.5), 0, -1)


def image_pixels(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(C, H, W) bytes -> (H, W, 3) in [0, 1]; three channels are colour, any other number is averaged to grey."""
    planes = image / 255.0
    if len(planes) != 3:
        planes = np.repeat(planes.mean(axis=0, keepdims=True), 3, axis=0)
    return np.moveaxis(planes, 0, -1)


def _sheet(cells: int, aspect: float, title: str, note: str, image: NDArray[np.uint8]) -> tuple[Figure, Axes]:
    rows = math.ceil(cells / COLUMNS)
    across, down = COLUMNS * (1 + 2 * MARGIN), rows * _pitch(aspect)
    width, height = COLUMNS * INCH, down / across * COLUMNS * INCH + HEAD
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    thumb = figure.add_axes((0.08 / width, 1 - 0.7 / height, 0.6 / width, 0.6 / height))
    thumb.imshow(image_pixels(image), interpolation="none")
    thumb.set_axis_off()
    figure.text(0.8 / width, 1 - 0.2 / height, title, va="center", size=10.5, weight="bold", color=INK)
    figure.text(0.8 / width, 1 - 0.45 / height, EVIDENCE, va="center", size=7.5, color=INK)
    figure.text(0.8 / width, 1 - 0.62 / height, note, va="center", size=7.5, color=INK)
    axes = figure.add_axes((0, 0, 1, 1 - HEAD / height))
    axes.set(xlim=(0, across), ylim=(down, 0))
    axes.set_axis_off()
    return figure, axes


def _map(axes: Axes, left: float, top: float, aspect: float, signal: NDArray[np.floating]) -> None:
    extent = (left, left + 1, top + aspect, top)
    axes.imshow(map_pixels(signal), extent=extent, interpolation="none", aspect="auto")
    if not signal.any():
        middle = top + aspect / 2
        axes.text(left + 0.5, middle, "silent\nhere", size=6.5, ha="center", va="center", color=INK)


def _cross(axes: Axes, left: float, top: float, aspect: float) -> None:
    axes.add_patch(Rectangle((left, top), 1, aspect, fill=False, edgecolor=NO_DATA))
    for ends in ((top, top + aspect), (top + aspect, top)):
        axes.plot((left, left + 1), ends, color=NO_DATA, linewidth=1)
    axes.text(left + 1, top - STRIP / 2, "dead", size=6.5, ha="right", va="center_baseline", color=FAINT_INK)


def _box(axes: Axes, left: float, top: float, aspect: float, rank: int, *, dashed: bool) -> None:
    colour = GROUPS[rank % len(GROUPS)]
    corner = (left - MARGIN / 2, top - STRIP)
    axes.add_patch(
        Rectangle(corner, 1 + MARGIN, aspect + STRIP + MARGIN / 2, fill=False, edgecolor=colour, linewidth=1.8,
                  linestyle=(0, (3, 1.5)) if dashed else "solid")
    )  # fmt: skip
    axes.text(left + 1, top - STRIP / 2, group_letter(rank), size=7.5, weight="bold", ha="right",
              va="center_baseline", color=colour)  # fmt: skip


def _corner(place: int, aspect: float) -> tuple[float, float]:
    row, column = divmod(place, COLUMNS)
    return column * (1 + 2 * MARGIN) + MARGIN, row * _pitch(aspect) + STRIP + MARGIN / 2


def _pitch(aspect: float) -> float:
    return aspect + STRIP + 2 * MARGIN
