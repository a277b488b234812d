"""All plots of a study under fixed names, for the page and for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import plotly.graph_objects as go

from phashopt.figures.accuracy import accuracy_against_macs
from phashopt.figures.curves import learning_curves
from phashopt.figures.trajectories import redundancy_trajectories, width_trajectories
from phashopt.figures.view import StudyView

ACCURACY = "phashopt-accuracy-against-macs"
PER_LAYER = {
    "phashopt-widths": width_trajectories,
    "phashopt-redundancy": redundancy_trajectories,
    "phashopt-learning-curves": learning_curves,
}
BOX = 450  # pixels: the fixed height of a plot in optuna-dashboard, which draws the rest over its neighbours
LAYERS_PER_BOX = 3


def study_plots(view: StudyView) -> dict[str, go.Figure]:
    """Plots by name, as high as their layers need."""
    return {ACCURACY: accuracy_against_macs(view), **{name: draw(view) for name, draw in PER_LAYER.items()}}


def dashboard_plots(view: StudyView) -> dict[str, go.Figure]:
    """The same in boxes of 450 pixels, three layers a box; a name is the dashboard's `graph_object_id`."""
    plots = {ACCURACY: accuracy_against_macs(view)}
    for name, draw in PER_LAYER.items():
        plots |= {f"{name}-{index + 1}": draw(part) for index, part in enumerate(_boxes(view))}
    return {name: plot.update_layout(height=BOX) for name, plot in plots.items()}


def _boxes(view: StudyView) -> Iterator[StudyView]:
    for start in range(0, max(len(view.widths), 1), LAYERS_PER_BOX):
        yield replace(view, widths=view.widths[start : start + LAYERS_PER_BOX])
