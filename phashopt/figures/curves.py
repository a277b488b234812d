"""Accuracy and near-copies over the epochs of one training: how baseline and best learnt."""

from __future__ import annotations

import plotly.graph_objects as go

from phashopt.figures.labels import layer_label
from phashopt.figures.plotting import MARKS, cell, name_axes, panel_figure, plain_figure, say
from phashopt.figures.view import StudyView
from phashopt.trace import Trace

DASHES = {"baseline": "dot", "best": "solid"}


def learning_curves(view: StudyView) -> go.Figure:
    """Validation accuracy and each layer's share of duplicates by epoch, for the baseline and the best trial.

    Duplicates, not redundancy: of a reading's numbers they follow training best (SIGNAL.md, section 5)."""
    title = "Accuracy and duplicates, epoch by epoch"
    traces = {role: view.traces[number] for role, number in view.marked.items() if number in view.traces}
    if not any(trace.epochs for trace in traces.values()):
        return say(plain_figure(title), "Neither baseline nor best has left a record of its epochs.")
    panels = ["Validation accuracy", *(layer_label(name) for name in view.widths)]
    figure = panel_figure(title, panels)
    for role, trace in traces.items():
        for index, curve in enumerate([_accuracy(trace), *(_duplicates(trace, name) for name in view.widths)]):
            _line(figure, curve, role, **cell(index, len(panels)), legend=index == 0)
    name_axes(figure, "epoch", "duplicates", max(len(trace.epochs) for trace in traces.values()))
    figure.update_yaxes(tickformat=".0%", range=[-0.04, 1.04])
    return figure.update_yaxes(title_text="accuracy", tickformat=".0%", autorange=True, range=None, row=1, col=1)


def _accuracy(trace: Trace) -> dict[int, float]:
    return {epoch.number: epoch.accuracy for epoch in trace.epochs}


def _duplicates(trace: Trace, width: str) -> dict[int, float]:
    return {epoch.number: epoch.readings[width].duplicates for epoch in trace.epochs if width in epoch.readings}


def _line(figure: go.Figure, curve: dict[int, float], role: str, *, row: int, col: int, legend: bool) -> None:
    figure.add_scatter(
        x=list(curve),
        y=list(curve.values()),
        mode="lines+markers",
        name=role,
        legendgroup=role,
        showlegend=legend,
        line={"color": MARKS[role]["color"], "dash": DASHES[role], "width": 2},
        marker={"symbol": MARKS[role]["symbol"], "size": 8},
        hovertemplate=role + ", epoch %{x}: %{y:.1%}<extra></extra>",
        row=row,
        col=col,
    )
