"""All plots of a study under fixed names, for the page and for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go

from phashopt.figures.accuracy import accuracy_against_macs
from phashopt.figures.compute import compute_by_trial
from phashopt.figures.curves import learning_curves
from phashopt.figures.heat import DEEP
from phashopt.figures.trajectories import redundancy_trajectories, width_trajectories
from phashopt.figures.view import StudyView

ACCURACY = "phashopt-accuracy-against-macs"
COMPUTE = "phashopt-compute"
PER_LAYER = {
    "phashopt-widths": width_trajectories,
    "phashopt-redundancy": redundancy_trajectories,
    "phashopt-learning-curves": learning_curves,
}
BOX = 450  # pixels: the fixed height of a plot in optuna-dashboard, which draws the rest over its neighbours
LAYERS_PER_BOX = 3
MANY = 200  # trials, from which on points have no words


def study_plots(view: StudyView) -> dict[str, go.Figure]:
    """Plots by name, as high as their layers need."""
    per_layer = {name: draw(view) for name, draw in PER_LAYER.items()}
    return {ACCURACY: accuracy_against_macs(view), **per_layer, COMPUTE: compute_by_trial(view)}


def dashboard_plots(view: StudyView) -> dict[str, go.Figure]:
    """The same in boxes of 450 pixels, three layers a box; a name is the dashboard's `graph_object_id`."""
    plots = {ACCURACY: accuracy_against_macs(view), COMPUTE: compute_by_trial(view)}
    for name, draw in PER_LAYER.items():
        plots |= {f"{name}-{index + 1}": draw(part) for index, part in enumerate(_boxes(view))}
    many = len(view.trials) > MANY
    return {name: (_light(plot) if many else plot).update_layout(height=BOX) for name, plot in plots.items()}


def _light(plot: go.Figure) -> go.Figure:
    """Without words at the points, and in single precision: the dashboard's database takes two kilobytes a write."""
    for trace in plot.data:
        if trace.type == "scatter" and trace.hovertext is not None:
            trace.update(hovertext=None, hovertemplate="%{x:~s}: %{y:.3~f}<extra></extra>", customdata=None)
            trace.update(x=np.asarray(trace.x, dtype=np.float32), y=np.asarray(trace.y, dtype=np.float32))
    return plot


def _boxes(view: StudyView) -> Iterator[StudyView]:
    if len(view.widths) > DEEP:
        yield view
        return
    for start in range(0, max(len(view.widths), 1), LAYERS_PER_BOX):
        yield replace(view, widths=view.widths[start : start + LAYERS_PER_BOX])
