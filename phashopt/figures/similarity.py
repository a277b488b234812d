"""Similarity matrices of a layer's reconstructed maps: the paper's Fig. 10, 12 and 14."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from phashopt.figures.palette import FAINT_INK, INK, NO_DATA, PAPER

SCALE = Normalize(0.5, 1.0)  # below one half, maps share fewer bits than coins thrown would
COLOURS = colormaps["viridis"]
COLUMNS = 4
SIDE = 3.7  # inches, as the margins and gaps below
LEFT, GAP, BAR = 0.62, 0.62, 0.95
TOP, PITCH, BOTTOM = 0.72, 0.9, 0.52
LINE = 0.18  # of the words below
CHARACTERS = 13.5  # of them, to an inch


def similarity_matrices(panels: Mapping[str, NDArray[np.floating]], title: str, words: str = "") -> Figure:
    """Upper triangles under their names, four to a row, on one colour scale from 0.5 to 1; below them `words`.

    Each value is (K, K), NaN (drawn grey) where a kernel is dead, or where too few images show two of them. The
    diagonal is left out: a map equals itself.
    """
    columns, rows = min(len(panels), COLUMNS), math.ceil(len(panels) / COLUMNS)
    width = LEFT + columns * (SIDE + GAP) - GAP + BAR
    lines = textwrap.wrap(words, int((width - LEFT) * CHARACTERS))
    bottom = BOTTOM + LINE * len(lines)
    height = TOP + rows * (SIDE + PITCH) - PITCH + bottom
    figure = Figure(figsize=(width, height), facecolor=PAPER)
    figure.text(LEFT / width, 1 - 0.12 / height, title, va="top", size=11.5, weight="bold", color=INK)
    figure.text(LEFT / width, 0.1 / height, "\n".join(lines), va="bottom", size=8.5, color=INK, linespacing=1.3)
    for index, (name, similarity) in enumerate(panels.items()):
        row, column = divmod(index, COLUMNS)
        left, low = LEFT + column * (SIDE + GAP), bottom + (rows - 1 - row) * (SIDE + PITCH)
        axes = figure.add_axes((left / width, low / height, SIDE / width, SIDE / height))
        _triangle(axes, similarity, name)
    low = (height - TOP - SIDE) / height
    bar = figure.add_axes(((width - BAR + 0.2) / width, low, 0.16 / width, SIDE / height))
    scale = figure.colorbar(ScalarMappable(SCALE, COLOURS), cax=bar, extend="min")
    scale.set_label("similarity S", color=INK, size=9)
    scale.outline.set_visible(False)
    bar.tick_params(labelsize=8, color=FAINT_INK, labelcolor=INK)
    return figure


def mean_similarity(similarity: NDArray[np.floating]) -> float:
    """Mean of S over pairs of two different living kernels (docs/signal.md, section 5); NaN when there is no pair."""
    pairs = similarity[np.triu_indices(len(similarity), k=1)].astype(np.float64)
    pairs = pairs[np.isfinite(pairs)]
    return float(pairs.mean()) if pairs.size else float("nan")


def triangle_colours(similarity: NDArray[np.floating]) -> NDArray[np.float64]:
    """(K, K, 4): colours of the pairs k < l, the grey of missing data where NaN, transparent elsewhere."""
    colours = np.asarray(COLOURS.with_extremes(bad=NO_DATA)(SCALE(np.ma.masked_invalid(similarity))))
    colours[..., 3] = np.triu(np.ones_like(similarity), k=1)
    return colours


def _triangle(axes: Axes, similarity: NDArray[np.floating], name: str) -> None:
    kernels = len(similarity)
    axes.imshow(triangle_colours(similarity), extent=(-0.5, kernels - 0.5, kernels - 0.5, -0.5))
    axes.set_title(name, size=9.5, loc="left", color=INK)
    axes.set_xlabel("kernel", size=9, color=INK)
    axes.set_ylabel("kernel", size=9, color=INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.tick_params(labelsize=8, color=FAINT_INK, labelcolor=INK)
    axes.set(xlim=(-0.5, kernels - 0.5), ylim=(kernels - 0.5, -0.5))
    axes.spines[:].set_visible(False)
    axes.text(0.04, 0.06, _note(similarity), transform=axes.transAxes, size=9, color=INK, linespacing=1.5)


def _note(similarity: NDArray[np.floating]) -> str:
    is_dead = np.isnan(np.diagonal(similarity))
    dead, alive = int(is_dead.sum()), similarity[np.ix_(~is_dead, ~is_dead)]
    apart = int(np.isnan(alive[np.triu_indices(len(alive), k=1)]).sum())
    mean = mean_similarity(similarity)
    lines = [f"mean similarity {mean:.2f}" if np.isfinite(mean) else "no two living kernels to compare"]
    lines += [f"{dead} dead (grey)"] * (dead > 0)
    return "\n".join(lines + [f"{apart} pair{'s' * (apart > 1)} never seen together (grey)"] * (apart > 0))
