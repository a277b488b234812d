"""The look that all plotly figures share: transparent, neutral ink, small multiples with one panel a quantity."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from phashopt.figures.palette import BASELINE, BEST, NEUTRAL_INK, NEUTRAL_RULE

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MARKS: dict[str, dict[str, Any]] = {
    "baseline": {"symbol": "diamond", "size": 12, "color": BASELINE},
    "best": {"symbol": "star", "size": 16, "color": BEST},
}
MANY = 200  # trials
PLOT_HEIGHT = 520  # pixels, as all below
PANEL_HEIGHT = 150
PANEL_GAP = 62
HEAD = 76
FOOT = 96


def plain_figure(title: str) -> go.Figure:
    """An empty figure with the shared look."""
    return _dress(go.Figure(), title, PLOT_HEIGHT)


def panel_figure(title: str, panels: Sequence[str]) -> go.Figure:
    """Small multiples, one titled panel each, in one column up to two and in two beyond; `cell` finds a panel."""
    columns = _columns(len(panels))
    rows = math.ceil(len(panels) / columns)
    inner = rows * PANEL_HEIGHT + (rows - 1) * PANEL_GAP
    figure = make_subplots(
        rows=rows,
        cols=columns,
        specs=[
            [{} if row * columns + column < len(panels) else None for column in range(columns)] for row in range(rows)
        ],
        subplot_titles=[html.escape(panel) for panel in panels],
        vertical_spacing=PANEL_GAP / inner if rows > 1 else 0.0,
        horizontal_spacing=0.1,
    )
    for index, note in enumerate(figure.layout.annotations):
        left = figure.layout[f"xaxis{index + 1 if index else ''}"].domain[0]
        note.update(x=left, xanchor="left", font_size=13)
    return _dress(figure, title, inner + HEAD + FOOT)


def name_axes(figure: go.Figure, x: str, y: str, last: int) -> None:
    """Give the panels one whole-numbered horizontal axis up to about `last`; name axes only at the left and below.

    What stands between the panels would run into its neighbours on a narrow screen.
    """
    figure.update_xaxes(tickformat="d", dtick=1 if last <= 12 else None)
    horizontal = list(figure.select_xaxes())
    columns = _columns(len(horizontal))
    for axis in horizontal[1:]:
        axis.matches = "x"
    for axis in horizontal[-columns:]:
        axis.title.text = x
    figure.update_yaxes(title_text=y, col=1)


def cell(index: int, panels: int) -> dict[str, int]:
    """Row and column of a panel, as plotly's `add_*` methods take them."""
    row, column = divmod(index, _columns(panels))
    return {"row": row + 1, "col": column + 1}


def marker(symbol: str, color: str, size: float = 7) -> dict[str, Any]:
    """A marker without an outline; open symbols are drawn by their line."""
    line = {"width": 1.5 if symbol.endswith("open") else 0}
    return {"symbol": symbol, "color": color, "size": size, "opacity": 0.85, "line": line}


def point_size(trials: int) -> float:
    """Pixels of a point, smaller where many would cover each other."""
    return 7 if trials <= MANY else 4


def say(figure: go.Figure, text: str) -> go.Figure:
    """Tell in a low figure why there is nothing to see."""
    figure.update_xaxes(visible=False).update_yaxes(visible=False).update_layout(height=220)
    return figure.add_annotation(text=text, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font_size=14)


def _columns(panels: int) -> int:
    return 1 if panels <= 2 else 2


def _dress(figure: go.Figure, title: str, height: int) -> go.Figure:
    figure.update_layout(
        title={"text": title, "x": 0, "xref": "container", "xanchor": "left", "font_size": 16},
        height=height,
        margin={"l": 76, "r": 20, "t": HEAD, "b": FOOT},
        font={"family": FONT, "size": 13, "color": NEUTRAL_INK},
        paper_bgcolor="rgba(0, 0, 0, 0)",
        plot_bgcolor="rgba(0, 0, 0, 0)",
        legend={"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom", "xanchor": "left"},
        modebar={"bgcolor": "rgba(0, 0, 0, 0)", "color": NEUTRAL_INK, "activecolor": NEUTRAL_INK},
        hoverlabel={"bgcolor": "#20262d", "bordercolor": "#20262d", "font": {"color": "#f4f5f6"}, "align": "left"},
        template="none",
    )
    lines = {
        "gridcolor": NEUTRAL_RULE,
        "linecolor": NEUTRAL_RULE,
        "zeroline": False,
        "ticks": "",
        "automargin": "height",
    }
    lines |= {"title_font_size": 12, "tickfont_size": 12}
    return figure.update_xaxes(**lines).update_yaxes(**lines, title_standoff=12)
