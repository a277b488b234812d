"""A study as a table: seven trials of two layers, one of each kind that the plots tell apart."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from phashopt.figures.view import StudyView
from phashopt.trace import Epoch, Reading, Trace

STATES = ["COMPLETE", "COMPLETE", "COMPLETE", "COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
ACCURACY = [0.90, 0.93, 0.95, 0.96, 0.60, None, 0.30]
FEASIBLE = [True, True, True, False, True, True, True]


def make_view(trials: pd.DataFrame, **changes: object) -> StudyView:
    """A view of `trials` with trial 0 as baseline and trial 2 as best."""
    curve = Trace([Epoch(1, 1.0, 0.8, 0.1, {"width_00": Reading(0.5, 0.4, 0.0)}), Epoch(2, 0.5, 0.9, 0.1)])
    fields: dict[str, object] = {
        "widths": ["width_00", "width_01"],
        "settings": ["optimizer"],
        "front": [1, 2],
        "best": 2,
        "baseline": 0,
        "macs_cap": 1e6,
        "traces": {0: curve, 2: curve},
    }
    return StudyView(trials=trials, **{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def trials() -> pd.DataFrame:
    """Trial 3 is over the cap, 4 was stopped, 5 failed, 6 diverged; trial 5 has no reading."""
    return pd.DataFrame(
        {
            "number": range(7),
            "state": STATES,
            "value": ACCURACY,
            "feasible": FEASIBLE,
            "decision": ["start"] * 6 + ["<b>bold</b>"],
            "width_00": [32, 24, 28, 64, 8, 12, 16],
            "width_01": [64, 40, 44, 64, 8, 12, 16],
            "optimizer": ["sgd"] * 6 + ["<i>adamw</i>"],
            "macs": [9e5, 5e5, 8e5, 2e6, 3e5, 4e5, 6e5],
            "params": [1e4] * 7,
            "redundancy.width_00": [0.4, 0.3, 0.2, 0.5, 0.1, math.nan, 0.9],
            "duplicates.width_00": [0.2, 0.1, 0.1, 0.3, 0.0, math.nan, 0.9],
            "dead.width_00": [0.0] * 5 + [math.nan, 0.5],
        }
    )


@pytest.fixture
def view(trials: pd.DataFrame) -> StudyView:
    """The view of `trials`."""
    return make_view(trials)


@pytest.fixture
def empty_view() -> StudyView:
    """A study without a trial."""
    return make_view(pd.DataFrame(), widths=[], settings=[], front=[], best=None, baseline=None, traces={})
