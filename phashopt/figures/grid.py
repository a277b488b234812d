"""Pictures in rows and columns with a caption that says what they are evidence of."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phashopt.figures.palette import FAINT_INK, INK, PAPER

WIDTH = 5.6  # inches, as all below: two stand side by side on the page
LARGEST_CELL = 1.5
LABEL = 1.05
MARGIN, GAP = 0.12, 0.07
TITLE, HEADS, LINE = 0.2, 0.26, 0.16  # TITLE is one line of it
BAR = 0.62
CHARACTERS = 15.5  # of a caption, to an inch
TITLE_CHARACTERS = 10.5
LABEL_CHARACTERS = 17


@dataclass(frozen=True)
class Row:
    """A label at the left, and one picture (H, W, 3) in [0, 1] a column."""

    label: str
    pictures: Sequence[NDArray[np.float64]]


def picture_grid(
    title: str, heads: Sequence[str], rows: Sequence[Row], caption: str, colours: Colormap | None = None
) -> Figure:
    """`rows` under the column `heads`, all cells of one size; `colours` adds a bar for values relative to a peak."""
    bar = BAR if colours is not None else 0.0
    cell = min(LARGEST_CELL, (WIDTH - 2 * MARGIN - LABEL - bar) / len(heads) - GAP)
    aspect = rows[0].pictures[0].shape[0] / rows[0].pictures[0].shape[1]
    lines = textwrap.wrap(caption, int((WIDTH - 2 * MARGIN) * CHARACTERS))
    pitch = GAP + max(cell * aspect, *(LINE * len(_wrapped(row.label)) for row in rows))
    body = len(rows) * pitch
    titles = textwrap.wrap(title, int((WIDTH - 2 * MARGIN) * TITLE_CHARACTERS))
    top = MARGIN + len(titles) * TITLE + HEADS
    height = top + body + MARGIN + len(lines) * LINE + MARGIN
    figure = Figure(figsize=(WIDTH, height), facecolor=PAPER)
    figure.text(MARGIN / WIDTH, 1 - MARGIN / height, "\n".join(titles), va="top", size=11, weight="bold", color=INK)
    figure.text(MARGIN / WIDTH, MARGIN / height, "\n".join(lines), va="bottom", size=7.5, color=INK, linespacing=1.35)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    for column, head in enumerate(heads):
        left = MARGIN + LABEL + column * (cell + GAP)
        axes.text(left + cell / 2, top - HEADS / 2, head, ha="center", va="center", size=8, color=INK)
    for index, row in enumerate(rows):
        _draw(axes, row, top + index * pitch, cell, aspect)
    if colours is not None:
        left = MARGIN + LABEL + len(heads) * (cell + GAP) + 0.1
        _draw_bar(figure, colours, left, top, min(body - GAP, 2 * LARGEST_CELL))
    return figure


def _draw(axes: Axes, row: Row, top: float, cell: float, aspect: float) -> None:
    middle = top + cell * aspect / 2
    axes.text(MARGIN, middle, "\n".join(_wrapped(row.label)), va="center", size=8, color=INK, linespacing=1.4)
    for column, picture in enumerate(row.pictures):
        left = MARGIN + LABEL + column * (cell + GAP)
        extent = (left, left + cell, top + cell * aspect, top)
        axes.imshow(picture, extent=extent, interpolation="none", aspect="auto")


def _wrapped(label: str) -> list[str]:
    return [part for line in label.splitlines() for part in textwrap.wrap(line, LABEL_CHARACTERS)]


def _draw_bar(figure: Figure, colours: Colormap, left: float, top: float, length: float) -> None:
    width, height = figure.get_size_inches()
    place = (left / width, 1 - (top + length) / height, 0.11 / width, length / height)
    bar = figure.add_axes(place)
    scale = figure.colorbar(ScalarMappable(Normalize(0, 1), colours), cax=bar, ticks=[0, 0.5, 1])
    scale.outline.set_visible(False)
    bar.tick_params(labelsize=7.5, color=FAINT_INK, labelcolor=INK, length=2)
