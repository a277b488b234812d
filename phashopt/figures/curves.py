"""Accuracy and readings over the epochs of one training: how baseline and best learnt."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

from phashopt.figures.heat import DEEP, layer_heat
from phashopt.figures.labels import layer_label
from phashopt.figures.plotting import MARKS, cell, name_axes, panel_figure, plain_figure, say
from phashopt.figures.trajectories import QUANTITIES
from phashopt.figures.view import StudyView
from phashopt.trace import Trace

DASHES = {"baseline": "dot", "best": "solid"}
TITLE = "Accuracy and readings, epoch by epoch"


@dataclass(frozen=True)
class _Look:
    """A line's name in the legend, its colour and whether it stands there, its pattern and marker."""

    name: str
    color: str
    dash: str
    symbol: str
    legend: bool


def learning_curves(view: StudyView) -> go.Figure:
    """Validation accuracy, and each layer's redundancy, duplicates and dead share, by epoch of baseline and best.

    From 17 layers on the best trial's duplicates as one map: they follow training best (docs/signal.md, section 5).
    """
    traces = {role: view.traces[number] for role, number in view.marked.items() if number in view.traces}
    if not any(trace.epochs for trace in traces.values()):
        return say(plain_figure(TITLE), "Neither baseline nor best has left a record of its epochs.")
    if len(view.widths) > DEEP:
        return _map(view, *list(traces.items())[-1])
    panels = ["Validation accuracy", *(layer_label(name) for name in view.widths)]
    figure = panel_figure(TITLE, panels)
    for role, trace in traces.items():
        look = _Look(role, MARKS[role]["color"], DASHES[role], MARKS[role]["symbol"], True)
        _line(figure, {row.number: row.accuracy for row in trace.epochs}, role, look, **cell(0, len(panels)))
        for index, name in enumerate(view.widths, start=1):
            for quantity, mark in QUANTITIES.items():
                is_key = index == 1 and role == list(traces)[-1]
                look = _Look(quantity, mark["color"], DASHES[role], mark["symbol"], is_key)
                _line(figure, _shares(trace, name, quantity), role, look, **cell(index, len(panels)))
    name_axes(figure, "epoch", "share", max(len(trace.epochs) for trace in traces.values()))
    figure.update_yaxes(tickformat=".0%", range=[-0.04, 1.04])
    return figure.update_yaxes(title_text="accuracy", tickformat=".0%", autorange=True, range=None, row=1, col=1)


def _map(view: StudyView, role: str, trace: Trace) -> go.Figure:
    read = [row for row in trace.epochs if row.readings]
    values = [[row.readings[name].duplicates if name in row.readings else None for row in read] for name in view.widths]
    return layer_heat(
        f"Duplicates of the {role} trial, epoch by epoch", view.widths, [row.number for row in read], "epoch", values
    )


def _shares(trace: Trace, width: str, quantity: str) -> dict[int, float]:
    return {row.number: getattr(row.readings[width], quantity) for row in trace.epochs if width in row.readings}


def _line(figure: go.Figure, curve: dict[int, float], role: str, look: _Look, *, row: int, col: int) -> None:
    quantity = "accuracy" if look.name == role else look.name
    figure.add_scatter(
        x=list(curve),
        y=list(curve.values()),
        mode="lines+markers",
        name=look.name,
        legendgroup=look.name,
        showlegend=look.legend,
        line={"color": look.color, "dash": look.dash, "width": 2},
        marker={"symbol": look.symbol, "size": 7},
        hovertemplate=f"{role}, epoch %{{x}}: {quantity} %{{y:.1%}}<extra></extra>",
        row=row,
        col=col,
    )
