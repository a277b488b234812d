"""A network drawn from image to classes, every layer as wide as it has kernels, before and after."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon, Rectangle

from phashopt.figures.palette import BASELINE, BEST, FAINT_INK, INK, PAPER

COLOURS = {"baseline": BASELINE, "best": BEST}
HATCHES = {"baseline": "/////", "best": ""}
ACROSS = 10  # layers in a row at most; longer networks go on below
LEAST = 4.2  # inches for a row, as all below
PITCH, BAR = 0.92, 0.24
TALLEST = 1.5
ROW = 2.75
HEAD = 0.5
ENDS = 0.95  # at either side, for image and classes
SHADE = 0.16


def drawn_network(
    layers: Sequence[str],
    widths: Mapping[str, Sequence[int]],
    sizes: Sequence[str],
    ends: tuple[str, str] = ("image", "classes"),
) -> Figure:
    """Two bars a layer, as high as `widths` of its role; `sizes` says under each layer how large its maps are.

    `ends` are what goes in and what comes out. The shape behind the bars joins those of the last role given.
    """
    rows = math.ceil(len(layers) / ACROSS)
    across = math.ceil(len(layers) / rows)
    pitch = max(PITCH, LEAST / across)
    width = 2 * ENDS + across * pitch
    figure = Figure(figsize=(width, HEAD + rows * ROW), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(HEAD + rows * ROW, 0))
    axes.set_axis_off()
    scale = TALLEST / max(max(kernels) for kernels in widths.values())
    for row in range(rows):
        chosen = range(row * across, min((row + 1) * across, len(layers)))
        part = {role: [scale * kernels[index] for index in chosen] for role, kernels in widths.items()}
        middle = HEAD + row * ROW + 0.3 + TALLEST / 2
        places = [ENDS + (place + 0.5) * pitch for place in range(len(chosen))]
        _axis(axes, ENDS + len(chosen) * pitch, middle, ends[0] if row == 0 else "", ends[1] if row == rows - 1 else "")
        _shade(axes, places, list(part.values())[-1], middle, COLOURS[list(part)[-1]])
        for centre, index in zip(places, chosen, strict=True):
            numbers = {role: kernels[index] for role, kernels in widths.items()}
            _layer(axes, centre, middle, numbers, scale)
            _name(axes, centre, middle, layers[index], sizes[index])
    axes.text(0.12, 0.24, "Kernels per layer", va="center", size=11.5, weight="bold", color=INK)
    keys = [_patch(role) for role in widths]
    figure.legend(handles=keys, loc="upper right", ncols=2, frameon=False, fontsize=9, labelcolor=INK,
                  bbox_to_anchor=(0.99, 1 - 0.05 / (HEAD + rows * ROW)))  # fmt: skip
    return figure


def _axis(axes: Axes, right: float, middle: float, start: str, end: str) -> None:
    axes.plot((ENDS - 0.1, right + 0.1), (middle, middle), color=FAINT_INK, linewidth=1, zorder=1)
    axes.text(ENDS - 0.18, middle, start, ha="right", va="center", size=8.5, color=INK, linespacing=1.4)
    axes.text(right + 0.18, middle, end, ha="left", va="center", size=8.5, color=INK, linespacing=1.4)


def _shade(axes: Axes, places: list[float], heights: list[float], middle: float, colour: str) -> None:
    upper = [(place, middle - height / 2) for place, height in zip(places, heights, strict=True)]
    lower = [(place, middle + height / 2) for place, height in zip(places, heights, strict=True)]
    axes.add_patch(Polygon([*upper, *reversed(lower)], facecolor=colour, alpha=SHADE, linewidth=0, zorder=0))


def _layer(axes: Axes, centre: float, middle: float, kernels: Mapping[str, int], scale: float) -> None:
    left = centre - BAR * len(kernels) / 2
    for place, (role, number) in enumerate(kernels.items()):
        height, colour = scale * number, COLOURS[role]
        corner = (left + place * BAR + 0.015, middle - height / 2)
        axes.add_patch(
            Rectangle(corner, BAR - 0.03, height, hatch=HATCHES[role], edgecolor=colour, linewidth=1, zorder=2,
                      facecolor=PAPER if HATCHES[role] else colour)
        )  # fmt: skip
        axes.text(corner[0] + BAR / 2 - 0.015, corner[1] - 0.05, str(number), ha="center", va="bottom", size=7.5,
                  color=INK)  # fmt: skip


def _name(axes: Axes, centre: float, middle: float, label: str, size: str) -> None:
    low = middle + TALLEST / 2 + 0.16
    axes.text(centre, low, label, ha="center", va="top", size=8, color=INK)
    axes.text(centre, low + 0.18, size, ha="center", va="top", size=7.5, color=FAINT_INK)


def _patch(role: str) -> Patch:
    fill = PAPER if HATCHES[role] else COLOURS[role]
    return Patch(facecolor=fill, edgecolor=COLOURS[role], hatch=HATCHES[role], label=role)
