from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from phashopt.report.tables import TOP, all_rows, before_after, best_rows, milestones
from phashopt.service.summary import StudySummary, summarize

Write = Callable[..., optuna.Study]


def test_before_and_after_are_baseline_and_best(summary: StudySummary) -> None:
    table = {row.quantity: row for row in before_after(summary)}
    assert (table["Validation accuracy"].before, table["Validation accuracy"].after) == ("90.0%", "89.0%")
    assert table["Validation accuracy"].change == "-1.0 points"
    assert table["Training images seen"].change == "same"


@pytest.mark.parametrize(
    ("before", "after", "change"), [(200, 150, "-25%"), (200, 300, "+50%"), (7, 7, "same"), (0, 0, "same"), (0, 3, "")]
)
def test_change_is_relative_to_before(summary: StudySummary, before: float, after: float, change: str) -> None:
    pair = [
        replace(trial, attrs={"macs": macs}) for trial, macs in zip(summary.trials[:2], (before, after), strict=True)
    ]
    rows = before_after(replace(summary, baseline=pair[0], best=pair[1]))
    assert rows[-1].change == change


def test_what_nobody_recorded_is_left_out(summary: StudySummary) -> None:
    bare = [replace(trial, attrs={}) for trial in summary.trials]
    rows = before_after(replace(summary, best=bare[1], baseline=bare[0]))
    assert [row.quantity for row in rows] == ["Validation accuracy", "Kernels per layer"]


def test_best_trials_fall_in_accuracy_and_keep_the_baseline(write_study: Write) -> None:
    summary = summarize(write_study(40, cap=1e9))
    rows = best_rows(summary)
    accuracies = [row.accuracy for row in rows[:TOP]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert rows[0].role == "best"
    assert rows[-1].role == "baseline"
    assert len(rows) == TOP + 1


def test_trials_over_a_cap_are_never_among_the_best(write_study: Write) -> None:
    summary = summarize(write_study(40))
    feasible = {trial.number for trial in summary.trials if trial.feasible}
    assert {row.number for row in best_rows(summary) if row.role != "baseline"} <= feasible


def test_milestones_are_the_records_in_order_and_end_with_the_best(write_study: Write) -> None:
    summary = summarize(write_study(20, cap=1e9))
    steps = milestones(summary)
    values = {trial.number: trial.value or 0.0 for trial in summary.trials}
    records = [number for number in values if all(values[number] > values[earlier] for earlier in range(number))]
    assert [step.number for step in steps] == records
    assert steps[-1].role == "best"


def test_rows_say_what_went_wrong(write_study: Write) -> None:
    summary = summarize(write_study(2, state=lambda number: TrialState.FAIL if number else TrialState.COMPLETE))
    assert [(row.state, row.error) for row in all_rows(summary, summary.trials)][1] == (
        "failed",
        "Diverged: the loss is NaN",
    )
