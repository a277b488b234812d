"""Width and redundancy of every layer from trial to trial: how the search moved, and what it read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from phashopt.figures.heat import DEEP, layer_heat
from phashopt.figures.hover import trial_hover
from phashopt.figures.labels import layer_label
from phashopt.figures.palette import BASELINE, DEAD, DUPLICATES, REDUNDANCY, TRIAL
from phashopt.figures.plotting import MARKS, cell, marker, name_axes, panel_figure, plain_figure, say
from phashopt.figures.view import StudyView

QUANTITIES = {
    "redundancy": {"color": REDUNDANCY, "symbol": "circle"},
    "duplicates": {"color": DUPLICATES, "symbol": "triangle-up"},
    "dead": {"color": DEAD, "symbol": "x"},
}


def width_trajectories(view: StudyView) -> go.Figure:
    """Kernels of each layer by trial number; infeasible trials hollow, the baseline's width a dashed line.

    From 17 layers on one map of all.
    """
    title = "Kernels per layer, trial by trial"
    if not view.widths:
        return say(plain_figure(title), "No trial has a width yet.")
    if len(view.widths) > DEEP:
        return _map(view, title, view.widths, share=False)
    figure = panel_figure(title, [layer_label(name) for name in view.widths])
    texts = trial_hover(view)
    for index, name in enumerate(view.widths):
        place: dict[str, Any] = {**cell(index, len(view.widths)), "legend": index == 0}
        kernels = view.numbers(name).dropna()
        inside = view.feasible[kernels.index]
        _markers(figure, kernels[inside], texts, "within the caps", {"symbol": "circle", "color": TRIAL}, **place)
        _markers(figure, kernels[~inside], texts, "over a cap", {"symbol": "circle-open", "color": TRIAL}, **place)
        for role, number in view.marked.items():
            _markers(figure, kernels[kernels.index == number], texts, role, MARKS[role], **place)
        if view.baseline is not None and view.baseline in kernels.index:
            dashed = {"dash": "dot", "width": 1.2, "color": BASELINE}
            figure.add_hline(y=kernels[view.baseline], line=dashed, **cell(index, len(view.widths)))
    name_axes(figure, "trial", "kernels", len(view.trials))
    return figure.update_yaxes(rangemode="tozero")


def redundancy_trajectories(view: StudyView) -> go.Figure:
    """Redundancy, near-duplicate share and dead share of each layer at the end of every trial, all in [0, 1].

    From 17 layers on one map of the duplicates.
    """
    title = "What was read in each layer, trial by trial"
    if not view.widths:
        return say(plain_figure(title), "No trial has a reading yet.")
    if len(view.widths) > DEEP:
        return _map(view, "Duplicates in each layer, trial by trial", [f"duplicates.{name}" for name in view.widths])
    figure = panel_figure(title, [layer_label(name) for name in view.widths])
    texts = trial_hover(view)
    for index, name in enumerate(view.widths):
        for quantity, look in QUANTITIES.items():
            shares = view.numbers(f"{quantity}.{name}").dropna()
            _markers(figure, shares, texts, quantity, look, **cell(index, len(view.widths)), legend=index == 0)
    name_axes(figure, "trial", "share", len(view.trials))
    return figure.update_yaxes(range=[-0.04, 1.04], tickformat=".0%")


def _map(view: StudyView, title: str, columns: list[str], *, share: bool = True) -> go.Figure:
    numbers = [view.numbers(column) for column in columns]
    return layer_heat(title, view.widths, numbers[0].index.tolist(), "trial", numbers, share=share)


def _markers(
    figure: go.Figure,
    values: pd.Series[float],
    texts: pd.Series[str],
    name: str,
    look: Mapping[str, Any],
    *,
    row: int,
    col: int,
    legend: bool,
) -> None:
    figure.add_scatter(
        x=values.index,
        y=values,
        hovertext=texts[values.index],
        hovertemplate="%{hovertext}<br>" + name + ": %{y}<extra></extra>",
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=legend,
        marker=marker(**look),
        row=row,
        col=col,
    )
