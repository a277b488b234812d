"""A study's plots for notebooks and scripts, as `optuna.visualization` has them: each takes a study, returns a figure.

Any Optuna study will do that carries the attributes phashopt writes; what it lacks, the plot says in words.
"""

from __future__ import annotations

import plotly.graph_objects as go
from matplotlib.figure import Figure
from optuna import Study

from phashopt.errors import UserError
from phashopt.figures.accuracy import accuracy_against_macs
from phashopt.figures.belief import BELIEF, belief_plots
from phashopt.figures.compute import compute_by_trial
from phashopt.figures.curves import learning_curves
from phashopt.figures.network import drawn_network
from phashopt.figures.trajectories import redundancy_trajectories, width_trajectories
from phashopt.service.belief import belief_of
from phashopt.service.summary import summarize, widths_by_role

__all__ = [
    "plot_accuracy_against_macs",
    "plot_belief",
    "plot_compute",
    "plot_learning_curves",
    "plot_network",
    "plot_redundancy",
    "plot_widths",
]


def plot_accuracy_against_macs(study: Study) -> go.Figure:
    """What accuracy costs: all trials, the front, the cap, parents joined to children."""
    return accuracy_against_macs(summarize(study).view())


def plot_widths(study: Study) -> go.Figure:
    """Kernels of each layer, trial by trial."""
    return width_trajectories(summarize(study).view())


def plot_redundancy(study: Study) -> go.Figure:
    """Redundancy, duplicates and dead share of each layer at the end of every trial."""
    return redundancy_trajectories(summarize(study).view())


def plot_learning_curves(study: Study) -> go.Figure:
    """Accuracy and readings of baseline and best, epoch by epoch."""
    return learning_curves(summarize(study).view())


def plot_compute(study: Study) -> go.Figure:
    """Seconds of training, readings and all else, trial by trial."""
    return compute_by_trial(summarize(study).view())


def plot_belief(study: Study) -> go.Figure:
    """What the model of the study's `PHashSampler` expects of each layer's kernels, with its 90% interval.

    Raises `UserError` where there is no model, or one that has not learnt from three trials yet.
    """
    return belief_plots(summarize(study).view(), belief_of(study))[BELIEF]


def plot_network(study: Study) -> Figure:
    """The network drawn, as wide as baseline and best have kernels; `UserError` where no trial has widths."""
    summary = summarize(study)
    widths = widths_by_role(summary)
    if not widths:
        raise UserError("neither a baseline nor a best trial with widths is there to be drawn")
    layers = len(summary.width_names)
    return drawn_network([f"Layer {place + 1}" for place in range(layers)], widths, [""] * layers)
