"""The study's plotly plots as matplotlib figures, for files that need no browser."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import plotly.graph_objects as go
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullFormatter, PercentFormatter

from phashopt.figures.palette import INK, NO_DATA, PAPER

PIXELS = 96  # to an inch
WIDTH = 960
LEFT, RIGHT, TOP, BOTTOM = 70, 24, 76, 96  # pixels around the panels, as plotly leaves them
POINTS = 0.75  # to a pixel
SYMBOLS = {"circle": "o", "circle-open": "o", "diamond": "D", "star": "*", "x-thin-open": "x", "x": "X",
           "triangle-up": "^"}  # fmt: skip
DASHES = {"dot": ":", "dash": "--"}
TAG = re.compile(r"<[^>]+>")


def still(figure: go.Figure) -> Figure:
    """The scatters, bars and heat maps of `figure` with its axes, lines and titles, on white paper."""
    layout = figure.layout
    height = layout.height
    paper = Figure(figsize=(WIDTH / PIXELS, height / PIXELS), facecolor=PAPER)
    paper.text(0.012, 1 - 18 / height, _plain(layout.title.text), size=11.5, weight="bold", va="center", color=INK)
    panels: dict[str, Axes] = {}
    for trace in figure.data:
        name = trace.xaxis or "x"
        if name not in panels:
            panels[name] = _panel(paper, layout, name, height)
        if trace.type != "bar":
            _draw(paper, panels[name], trace)
    _bars(panels, [trace for trace in figure.data if trace.type == "bar"])
    for shape in layout.shapes:
        _rule(panels, shape)
    for note in layout.annotations:
        _note(paper, note, height)
    for name, axes in panels.items():
        _scale(axes, layout["xaxis" + name[1:]], layout["yaxis" + name[1:]])
    _legend(paper, list(panels.values()), height)
    return paper


def _panel(paper: Figure, layout: Any, name: str, height: float) -> Axes:
    across, up = layout["xaxis" + name[1:]].domain or (0, 1), layout["yaxis" + name[1:]].domain or (0, 1)
    inner = WIDTH - LEFT - RIGHT, height - TOP - BOTTOM
    axes = paper.add_axes((
        (LEFT + across[0] * inner[0]) / WIDTH,
        (BOTTOM + up[0] * inner[1]) / height,
        (across[1] - across[0]) * inner[0] / WIDTH,
        (up[1] - up[0]) * inner[1] / height,
    ))  # fmt: skip
    axes.grid(color=NO_DATA, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=INK)
    return axes


def _draw(paper: Figure, axes: Axes, trace: Any) -> None:
    if trace.type == "heatmap":
        cells = [[float("nan") if value is None else value for value in row] for row in trace.z]
        # As pixels: a path a cell would make an SVG of a thousand trials unreadable.
        image = axes.pcolormesh(
            list(trace.x), list(trace.y), cells, cmap="viridis", vmin=trace.zmin, vmax=trace.zmax, rasterized=True
        )
        bar = paper.colorbar(image, ax=axes, pad=0.01)
        bar.set_label(trace.colorbar.title.text, size=8.5, color=INK)
    else:
        _scatter(axes, trace, trace.name if trace.showlegend is not False else None)


def _bars(panels: dict[str, Axes], traces: list[Any]) -> None:
    """Stacked in the order given."""
    tops = np.zeros(len(traces[0].x)) if traces else np.zeros(0)
    for trace in traces:
        heights = np.asarray(trace.y, dtype=float)
        panels[trace.xaxis or "x"].bar(
            list(trace.x), heights, bottom=tops, width=0.85, color=trace.marker.color, label=trace.name
        )
        tops = tops + heights


def _scatter(axes: Axes, trace: Any, label: str | None) -> None:
    if trace.fill == "toself":
        axes.fill(list(trace.x), list(trace.y), color=trace.line.color, alpha=trace.opacity, linewidth=0)
        return
    lines, markers = "lines" in trace.mode, "markers" in trace.mode
    colour = trace.line.color if lines else trace.marker.color
    symbol = trace.marker.symbol or "circle"
    hollow = symbol.endswith("open") and not symbol.startswith("x")
    axes.plot(
        [float("nan") if value is None else value for value in trace.x],
        [float("nan") if value is None else value for value in trace.y],
        color=colour,
        label=label,
        alpha=trace.opacity,
        linestyle=DASHES.get(trace.line.dash, "-") if lines else "none",
        linewidth=(trace.line.width or 2) * POINTS,
        drawstyle="steps-post" if trace.line.shape == "hv" else "default",
        marker=SYMBOLS.get(symbol, "o") if markers else None,
        markersize=(trace.marker.size or 6) * POINTS,
        markerfacecolor="none" if hollow else colour,
    )


def _rule(panels: dict[str, Axes], shape: Any) -> None:
    name = shape.xref.split()[0] if shape.xref != "paper" else "x" + shape.yref.split()[0][1:]
    look = {"color": shape.line.color, "linestyle": DASHES.get(shape.line.dash, "-"), "linewidth": shape.line.width}
    if name not in panels:
        return
    if "domain" in shape.xref or shape.xref == "paper":
        panels[name].axhline(shape.y0, **look)
    else:
        panels[name].axvline(shape.x0, **look)


def _note(paper: Figure, note: Any, height: float) -> None:
    """What stands at a place of the whole sheet; the name of a line at the top of its panel is left to the caption."""
    if note.xref != "paper" or note.yref != "paper":
        return
    inner = WIDTH - LEFT - RIGHT, height - TOP - BOTTOM
    place = (LEFT + note.x * inner[0]) / WIDTH, (BOTTOM + note.y * inner[1]) / height
    size = (note.font.size or 13) * POINTS
    paper.text(
        *place,
        _plain(note.text).partition(": double-click")[0],
        size=size,
        ha=note.xanchor or "center",
        va="bottom",
        color=INK,
    )


def _scale(axes: Axes, x: Any, y: Any) -> None:
    if x.type == "log":
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if y.type == "log":
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(y.tickvals)
    for axis, plan in ((axes.xaxis, x), (axes.yaxis, y)):
        if plan.tickformat == "d":
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        elif plan.tickformat and plan.tickformat.endswith("%"):
            axis.set_major_formatter(PercentFormatter(1, decimals=None))
        elif plan.tickformat == "~s":
            axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_visible(plan.visible is not False)
    axes.set_xlabel(x.title.text or "", size=9, color=INK)
    axes.set_ylabel(y.title.text or "", size=9, color=INK)
    if y.range is not None:
        axes.set_ylim(*(10**end if y.type == "log" else end for end in y.range))
    if y.rangemode == "tozero":
        axes.set_ylim(bottom=0)
    if y.autorange == "reversed":
        axes.invert_yaxis()


def _legend(paper: Figure, panels: list[Axes], height: float) -> None:
    keys: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            keys.setdefault(label, handle)
    if keys:
        paper.legend(keys.values(), keys, loc="lower left", bbox_to_anchor=(LEFT / WIDTH, 2 / height), frameon=False,
                     ncols=min(len(keys), 7), fontsize=9, labelcolor=INK)  # fmt: skip


def _plain(text: str | None) -> str:
    return TAG.sub("", text or "")
