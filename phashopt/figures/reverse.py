"""A network and its reverse side by side, and one pooling window undone: the paper's Fig. 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from numpy.typing import NDArray

from phashopt.figures.palette import BASELINE, BLUE, FAINT_INK, INK, ORANGE, PAPER

WIDTH = 9.5  # inches, as all below
BOX, STEPS = 0.42, (0.68, 1.1)  # the least and the most from step to step
BACK, FORTH, ACROSS = 0.3, 3.35, 2.55  # left edges of the columns, width of a box
GRID = 6.75  # left edge of the windows
CELL = 0.44
HEAD = 0.85
MOST = 13  # steps drawn; the middle of longer networks is left out
LEAST_HEIGHT = 8.1  # for the windows


@dataclass(frozen=True)
class Step:
    """One step up the network and the step that undoes it; `maps` says what comes out. `pools` marks switches."""

    forward: str
    reverse: str
    maps: str
    pools: bool = False


@dataclass(frozen=True)
class Window:
    """Four pooling windows of one map, (4, 4) `before`; which values went on, and what came back at their places."""

    before: NDArray[np.floating]  # (4, 4)
    pooled: NDArray[np.floating]  # (2, 2)
    returned: NDArray[np.floating]  # (2, 2)
    unpooled: NDArray[np.floating]  # (4, 4)
    switches: NDArray[np.bool_]  # (4, 4), where the maxima were
    words: str


def reverse_diagram(image: str, steps: Sequence[Step], window: Window | None) -> Figure:
    """The way up at the right, the way back at the left, from the image below to the last step on top."""
    shown = _elided(steps)
    height = max(HEAD + (len(shown) + 1) * STEPS[0] + 0.3, LEAST_HEIGHT if window else 0.0)
    pitch = min((height - HEAD - 0.3) / (len(shown) + 1), STEPS[1])
    width = WIDTH if window else FORTH + ACROSS + 0.4
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    axes.text(0.3, height - 0.3, "The network and its reverse", size=11.5, weight="bold", va="center", color=INK)
    heads = 0.3 + len(shown) * pitch + BOX + 0.3
    axes.text(BACK + ACROSS / 2, heads, "back to the pixels", ha="center", size=9, color=BASELINE)
    axes.text(FORTH + ACROSS / 2, heads, "up to the classes", ha="center", size=9, color=BLUE)
    low = 0.3
    _box(axes, FORTH, low, f"image, {image}", INK)
    _box(axes, BACK, low, f"reconstruction, {image}", INK)
    for index, step in enumerate(shown):
        _step(axes, step, low + (index + 1) * pitch, pitch)
    if window is not None:
        _windows(axes, window, height - 1.1)
    return figure


def _elided(steps: Sequence[Step]) -> list[Step]:
    if len(steps) <= MOST:
        return list(steps)
    half = MOST // 2
    gap = Step(f"... {len(steps) - 2 * half} more steps", "...", "")
    return [*steps[:half], gap, *steps[-half:]]


def _step(axes: Axes, step: Step, low: float, pitch: float) -> None:
    _arrow(axes, (FORTH + ACROSS / 2, low - pitch + BOX), (FORTH + ACROSS / 2, low), BLUE)
    _box(axes, FORTH, low, step.forward, BLUE)
    if step.maps:
        axes.text(FORTH + ACROSS / 2 + 0.1, low + BOX + (pitch - BOX) / 2, step.maps, va="center", size=7,
                  color=FAINT_INK)  # fmt: skip
    if not step.reverse:
        return
    _arrow(axes, (BACK + ACROSS / 2, low), (BACK + ACROSS / 2, low - pitch + BOX), BASELINE)
    _box(axes, BACK, low, step.reverse, BASELINE)
    if step.pools:
        _arrow(axes, (FORTH, low + BOX / 2), (BACK + ACROSS, low + BOX / 2), ORANGE, dashed=True)
        axes.text((FORTH + BACK + ACROSS) / 2, low + BOX / 2 + 0.06, "switches", ha="center", va="bottom", size=7,
                  color=INK)  # fmt: skip


def _box(axes: Axes, left: float, low: float, text: str, colour: str) -> None:
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(
        FancyBboxPatch((left, low), ACROSS, BOX, boxstyle=style, facecolor=PAPER, edgecolor=colour, linewidth=1.2)
    )
    axes.text(left + ACROSS / 2, low + BOX / 2, text, ha="center", va="center", size=7.8, color=INK, linespacing=1.35)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, *, dashed: bool = False
) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=colour, shrinkA=0, shrinkB=1,
                        linewidth=1.2, linestyle=(0, (3, 2)) if dashed else "solid")
    )  # fmt: skip


def _windows(axes: Axes, window: Window, top: float) -> None:
    axes.text(GRID, top + 0.44, "Four pooling windows, undone", size=9, weight="bold", va="center", color=INK)
    axes.text(GRID, top + 0.2, window.words, size=7.5, va="center", color=INK)
    switches, small = window.switches, np.ones((2, 2), dtype=bool)
    middle = GRID + CELL
    _grid(axes, (GRID, top), window.before, switches, BLUE)
    _between(axes, top - 4 * CELL, "max pool: the largest goes on,\nits place is the switch", BLUE)
    low = top - 4 * CELL - 0.5
    _grid(axes, (middle, low), window.pooled, small, BLUE)
    _between(axes, low - 2 * CELL, "the next layer, and back from\none of its kernels", FAINT_INK)
    low -= 2 * CELL + 0.5
    _grid(axes, (middle, low), window.returned, small, BASELINE)
    _between(axes, low - 2 * CELL, "unpool: put where the switches\npoint, zero elsewhere", BASELINE)
    _grid(axes, (GRID, low - 2 * CELL - 0.5), window.unpooled, switches, BASELINE)


def _between(axes: Axes, top: float, words: str, colour: str) -> None:
    centre = GRID + 0.35
    _arrow(axes, (centre, top - 0.06), (centre, top - 0.44), colour)
    axes.text(centre + 0.14, top - 0.25, words, size=7, va="center", color=INK, linespacing=1.3)


def _grid(
    axes: Axes,
    corner: tuple[float, float],
    values: NDArray[np.floating],
    marked: NDArray[np.bool_],
    colour: str,
) -> None:
    """Cells tinted by their share of the largest absolute value; `marked` ones framed."""
    left, top = corner
    peak = float(np.abs(values).max()) or 1.0
    for row, column in np.ndindex(values.shape):
        value, low = float(values[row, column]), (left + column * CELL, top - (row + 1) * CELL)
        tint = 1 - 0.6 * abs(value) / peak * (1 - np.array(to_rgb(colour)))
        axes.add_patch(Rectangle(low, CELL, CELL, facecolor=tuple(tint), edgecolor=FAINT_INK, linewidth=0.5))
        axes.text(low[0] + CELL / 2, low[1] + CELL / 2, f"{value:.2f}" if value else "0", ha="center",
                  va="center", size=7, color=INK)  # fmt: skip
    for row, column in np.argwhere(marked):
        low = (left + column * CELL + 0.025, top - (row + 1) * CELL + 0.025)
        axes.add_patch(Rectangle(low, CELL - 0.05, CELL - 0.05, fill=False, edgecolor=ORANGE, linewidth=1.8))
    if len(values) == 4:
        half = 2 * CELL
        axes.plot((left + half, left + half), (top, top - 2 * half), color=INK, linewidth=1.2)
        axes.plot((left, left + 2 * half), (top - half, top - half), color=INK, linewidth=1.2)
