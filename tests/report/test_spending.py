from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from phashopt.report.spending import spending
from phashopt.service.summary import StudySummary, summarize

Write = Callable[..., optuna.Study]


def test_kinds_add_up_to_the_wall_time(summary: StudySummary) -> None:
    trials = [replace(trial, seconds=4.0, attrs={**trial.attrs, "signal_seconds": 0.5}) for trial in summary.trials]
    seconds = {row.kind: float(row.seconds) for row in spending(replace(summary, trials=trials))}
    count = len(trials)
    expected = {"training": 2.5 * count, "readings": 0.5 * count, "all else": 1.0 * count}
    assert seconds == pytest.approx({**expected, "failed trials": 0.0, "together": 4.0 * count})


def test_failed_trials_are_a_kind_of_their_own(write_study: Write) -> None:
    summary = summarize(write_study(2, state=lambda number: TrialState.FAIL if number else TrialState.COMPLETE))
    trials = [replace(trial, seconds=10.0) for trial in summary.trials]
    rows = {row.kind: row.share for row in spending(replace(summary, trials=trials))}
    assert rows["failed trials"] == "50.0%"


def test_nothing_ended_is_nothing_spent(write_study: Write) -> None:
    assert spending(summarize(write_study(0))) == []
    assert spending(summarize(write_study(1, state=lambda _: TrialState.RUNNING))) == []
