from __future__ import annotations

from dataclasses import replace

import pytest

from phashopt.report.comparison import before_after
from phashopt.report.measure import Measured
from phashopt.service.summary import StudySummary


def test_before_and_after_are_baseline_and_best(summary: StudySummary) -> None:
    table = {row.quantity: row for row in before_after(summary, {})}
    assert (table["Validation accuracy"].before, table["Validation accuracy"].after) == ("90.0%", "89.0%")
    assert table["Validation accuracy"].change == "-1.0 points"
    assert table["Training images seen"].change == "same"


def test_a_childs_epochs_are_those_of_all_its_line(summary: StudySummary) -> None:
    child = replace(summary.trials[1], attrs={"epochs_used": 11}, epochs_inherited=160)
    scratch = replace(summary.trials[0], attrs={"epochs_used": 16})
    rows = {row.quantity: row for row in before_after(replace(summary, baseline=scratch, best=child), {})}
    epochs = rows["Epochs, its ancestors' included"]
    assert (epochs.before, epochs.after) == ("16", "171")


@pytest.mark.parametrize(
    ("before", "after", "change"), [(200, 150, "-25%"), (200, 300, "+50%"), (7, 7, "same"), (0, 0, "same"), (0, 3, "")]
)
def test_change_is_relative_to_before(summary: StudySummary, before: float, after: float, change: str) -> None:
    pair = [
        replace(trial, attrs={"macs": macs}) for trial, macs in zip(summary.trials[:2], (before, after), strict=True)
    ]
    rows = before_after(replace(summary, baseline=pair[0], best=pair[1]), {})
    assert rows[-1].change == change


def test_what_nobody_recorded_is_left_out(summary: StudySummary) -> None:
    bare = [replace(trial, attrs={}) for trial in summary.trials]
    rows = before_after(replace(summary, best=bare[1], baseline=bare[0]), {})
    assert [row.quantity for row in rows] == ["Validation accuracy", "Kernels per layer"]


def test_what_was_measured_is_marked_with_a_star(summary: StudySummary) -> None:
    measured = {"baseline": Measured(2.0, 4e6, 1.0, 0.95), "best": Measured(1.0, 2e6, 1.0, 0.9)}
    rows = {row.quantity: (row.before, row.after, row.change) for row in before_after(summary, measured)}
    assert rows["Latency of an image, ms *"] == ("2", "1", "-50%")
    assert rows["Peak memory of a training step, MB *"] == ("4.0", "2.0", "-50%")
    assert rows["Gap, training to validation *"] == ("5.0 points", "1.0 points", "-4.0 points")


def test_one_trial_in_both_roles_is_measured_once(summary: StudySummary) -> None:
    alone = replace(summary, best=summary.baseline)
    rows = {row.quantity: row for row in before_after(alone, {"best": Measured(latency_ms=3.0)})}
    assert rows["Latency of an image, ms *"].change == "same"
