"""Where the time went, trial by trial."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from phashopt.figures.palette import BLUE, NEUTRAL_INK, ORANGE
from phashopt.figures.plotting import plain_figure, say
from phashopt.figures.view import StudyView

KINDS = {"training": BLUE, "readings": ORANGE, "all else": NEUTRAL_INK}


def seconds_by_kind(view: StudyView) -> pd.DataFrame:
    """Seconds of every trial that has ended, by kind; all else is sampler, database, files, and waiting in a queue."""
    wall = view.numbers("seconds")
    training, readings = (view.numbers(key).fillna(0.0) for key in ("train_seconds", "signal_seconds"))
    rest = (wall - training - readings).clip(lower=0.0)
    return pd.DataFrame({"training": training, "readings": readings, "all else": rest})[wall.notna()]


def compute_by_trial(view: StudyView) -> go.Figure:
    """Stacked bars of seconds, one a trial."""
    figure = plain_figure("Time spent, trial by trial")
    spent = seconds_by_kind(view)
    if spent.empty:
        return say(figure, "No trial has ended yet.")
    for kind, colour in KINDS.items():
        figure.add_bar(
            x=spent.index,
            y=spent[kind].round(3),
            name=kind,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="trial %{x}, " + kind + ": %{y:.1f} s<extra></extra>",
        )
    figure.update_xaxes(title_text="trial", tickformat="d")
    figure.update_yaxes(title_text="seconds", rangemode="tozero")
    return figure.update_layout(barmode="stack", bargap=0.15 if len(spent) < 100 else 0.0, height=380)
