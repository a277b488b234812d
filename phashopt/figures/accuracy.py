"""Accuracy against MACs: what accuracy costs, and which trials nothing cheaper beats."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from phashopt.figures.hover import full_hover
from phashopt.figures.palette import NEUTRAL_INK, TRIAL
from phashopt.figures.plotting import MARKS, marker, plain_figure, point_size, say
from phashopt.figures.view import COMPLETE, PRUNED, StudyView

TITLE = "Accuracy against cost"
MANY = 100  # families, from which on their lines are thin


def accuracy_against_macs(view: StudyView) -> go.Figure:
    """Every trial with an accuracy and a cost; the front, baseline, best and the cap marked, infeasible ones hollow.

    The accuracy axis starts at the lower Tukey fence of the completed trials, so that one diverged run does not flatten
    the rest; a note counts what lies below it.
    """
    figure = plain_figure(TITLE)
    points = _points(view)
    if points.empty:
        return say(figure, "No trial has both an accuracy and a cost yet.")
    _families(figure, points, view)
    complete, feasible = points["state"] == COMPLETE, points["feasible"]
    _cloud(figure, points[complete & feasible], "within the caps", symbol="circle")
    _cloud(figure, points[complete & ~feasible], "over a cap", symbol="circle-open")
    _cloud(figure, points[points["state"] == PRUNED], "stopped early", symbol="x-thin-open")
    _front(figure, points.loc[points.index.intersection(view.front)].sort_values("macs"))
    for role, number in view.marked.items():
        if number in points.index:
            _cloud(figure, points.loc[[number]], role, **MARKS[role])
    _scale(figure, points)
    if view.macs_cap is not None:
        _cap(figure, view.macs_cap)
    return figure


def accuracy_floor(accuracy: pd.Series[float]) -> float:
    """The lower Tukey fence, Q1 - 1.5 (Q3 - Q1), but no lower than the least accuracy."""
    low, high = accuracy.quantile([0.25, 0.75])
    return float(max(accuracy.min(), low - 1.5 * (high - low)))


def _points(view: StudyView) -> pd.DataFrame:
    points = pd.DataFrame(
        {
            "state": view.words("state"),
            "feasible": view.feasible,
            "accuracy": view.numbers("value"),
            "macs": view.numbers("macs"),
            "params": view.numbers("params"),
            "text": full_hover(view),
        }
    )
    points = points[points["state"].isin([COMPLETE, PRUNED])]
    return points[points["accuracy"].notna() & (points["macs"] > 0)]


def _cloud(figure: go.Figure, points: pd.DataFrame, name: str, **look: Any) -> None:
    figure.add_scatter(
        x=points["macs"],
        y=points["accuracy"],
        customdata=points["params"],
        hovertext=points["text"],
        hovertemplate="%{hovertext}<br>%{x:.3s} MACs, %{customdata:.3s} parameters<extra></extra>",
        mode="markers",
        name=name,
        marker=marker(**{"color": TRIAL, "size": 2 + point_size(len(points)), **look}),
        showlegend=not points.empty,
    )


def _families(figure: go.Figure, points: pd.DataFrame, view: StudyView) -> None:
    """A line from each parent to each child, where both have an accuracy and a cost."""
    parents = view.numbers("parent")
    places = points[["macs", "accuracy"]]
    pairs = [(int(parents[child]), child) for child in points.index if parents[child] in points.index]
    ends = {axis: [value for pair in pairs for value in (*places[axis].loc[list(pair)], None)] for axis in places}
    figure.add_scatter(
        x=ends["macs"],
        y=ends["accuracy"],
        mode="lines",
        name="parent to child",
        line={"color": NEUTRAL_INK, "width": 2 if len(pairs) < MANY else 1, "dash": "dot"},
        opacity=1.0 if len(pairs) < MANY else 0.25,
        hoverinfo="skip",
        showlegend=bool(pairs),
    )


def _front(figure: go.Figure, points: pd.DataFrame) -> None:
    figure.add_scatter(
        x=points["macs"],
        y=points["accuracy"],
        mode="lines",
        name="front",
        line={"color": NEUTRAL_INK, "width": 1.5, "shape": "hv"},
        hoverinfo="skip",
        showlegend=not points.empty,
    )


def _cap(figure: go.Figure, cap: float) -> None:
    figure.add_vline(x=cap, line={"dash": "dash", "width": 1.5, "color": NEUTRAL_INK})
    # On a logarithmic axis plotly wants a note's place as a logarithm, a line's as it is.
    place = math.log10(cap) if figure.layout.xaxis.type == "log" else cap
    figure.add_annotation(text="cap", x=place, y=1, yref="paper", yanchor="bottom", showarrow=False)


def _scale(figure: go.Figure, points: pd.DataFrame) -> None:
    complete = points.loc[points["state"] == COMPLETE, "accuracy"]
    accuracy = complete if len(complete) else points["accuracy"]
    low, high = accuracy_floor(accuracy), points["accuracy"].max()
    margin = max(0.06 * (high - low), 0.002)
    below = int((points["accuracy"] < low - margin).sum())
    figure.update_yaxes(title_text="validation accuracy", tickformat=".1~%", range=[low - margin, high + margin])
    wide = points["macs"].max() > 10 * points["macs"].min()
    figure.update_xaxes(
        title_text="multiply-accumulates per image (MACs)",
        type="log" if wide else "linear",
        dtick="D2" if wide else None,  # 1, 2, 5: all nine digits would run into one another
        tickformat="~s",
    )
    if below:
        text = f"{below} trial{'s' * (below > 1)} below this axis: double-click twice to see all"
        figure.add_annotation(text=text, x=0, y=0, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
                              showarrow=False, font_size=11)  # fmt: skip
