"""All plots of a study under fixed names, for the page and for the dashboard alike."""

from __future__ import annotations

import plotly.graph_objects as go

from phashopt.figures.accuracy import accuracy_against_macs
from phashopt.figures.curves import learning_curves
from phashopt.figures.trajectories import redundancy_trajectories, width_trajectories
from phashopt.figures.view import StudyView


def study_plots(view: StudyView) -> dict[str, go.Figure]:
    """Plots by name; a name is a valid HTML id, so the dashboard overwrites a plot in place."""
    return {
        "phashopt-accuracy-against-macs": accuracy_against_macs(view),
        "phashopt-widths": width_trajectories(view),
        "phashopt-redundancy": redundancy_trajectories(view),
        "phashopt-learning-curves": learning_curves(view),
    }
