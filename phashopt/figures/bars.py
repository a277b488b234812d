"""Kernels per layer before and after, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from phashopt.figures.palette import BASELINE, BEST, FAINT_INK, INK, PAPER

COLOURS = {"baseline": BASELINE, "best": BEST}
HATCHES = {"baseline": "////", "best": ""}


def widths_bars(layers: Sequence[str], widths: Mapping[str, Sequence[int]]) -> Figure:
    """One group of bars a layer, the input side on top; `widths` gives the kernels of each role, layer by layer."""
    thickness = 0.8 / max(len(widths), 1)
    height = 0.75 + 0.5 * len(layers)
    figure = Figure(figsize=(7.2, height), facecolor=PAPER)
    axes = figure.add_axes((0.2, 0.12 / height, 0.73, 1 - 0.55 / height))
    for index, (role, kernels) in enumerate(widths.items()):
        places = np.arange(len(layers)) + (index - (len(widths) - 1) / 2) * thickness
        fill = PAPER if HATCHES[role] else COLOURS[role]
        bars = axes.barh(places, kernels, thickness * 0.86, label=role, hatch=HATCHES[role], facecolor=fill,
                         edgecolor=COLOURS[role])  # fmt: skip
        axes.bar_label(bars, padding=4, size=9, color=INK)
    axes.set_yticks(range(len(layers)), layers, color=INK, size=9)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(0, 1.08 * max(max(kernels) for kernels in widths.values()))
    axes.tick_params(axis="both", length=0)
    axes.xaxis.set_visible(False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(FAINT_INK)
    figure.text(0.015, 1 - 0.2 / height, "Kernels per layer", va="center", size=11.5, weight="bold", color=INK)
    figure.legend(loc="upper right", ncols=2, frameon=False, fontsize=9, labelcolor=INK,
                  bbox_to_anchor=(0.99, 1 - 0.02 / height))  # fmt: skip
    return figure
