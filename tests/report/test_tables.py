from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.trial import TrialState

from phashopt.report.tables import TOP, all_rows, best_rows, front_rows, milestones
from phashopt.service.summary import summarize

Write = Callable[..., optuna.Study]


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


def test_the_front_rises_in_cost_and_accuracy_whatever_the_caps(write_study: Write) -> None:
    summary = summarize(write_study(40, cap=0))
    rows = front_rows(summary)
    trials = [summary.trials[row.number] for row in rows]
    assert [trial.attrs["macs"] for trial in trials] == sorted({trial.attrs["macs"] for trial in trials})
    assert [trial.value for trial in trials] == sorted({trial.value for trial in trials})
    assert trials[-1].value == max(trial.value for trial in summary.trials)
