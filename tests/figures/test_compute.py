from __future__ import annotations

import pandas as pd
import pytest

from phashopt.figures.compute import compute_by_trial, seconds_by_kind
from phashopt.figures.view import StudyView


@pytest.fixture
def timed(view: StudyView) -> StudyView:
    """The view with three trials that took 10 s, one of which recorded how it spent them."""
    table = view.trials.assign(
        seconds=[10.0, 10.0, 10.0] + [None] * 4, train_seconds=[6.0] + [None] * 6, signal_seconds=[1.0] + [None] * 6
    )
    return StudyView(table, view.widths, [], [], None, None, None)


def test_what_is_neither_training_nor_reading_is_all_else(timed: StudyView) -> None:
    expected = pd.DataFrame({"training": [6.0, 0, 0], "readings": [1.0, 0, 0], "all else": [3.0, 10.0, 10.0]})
    pd.testing.assert_frame_equal(seconds_by_kind(timed), expected, check_names=False, check_index_type=False)


def test_bars_stack_to_the_wall_time(timed: StudyView) -> None:
    figure = compute_by_trial(timed)
    assert figure.layout.barmode == "stack"
    assert [sum(heights) for heights in zip(*(bar.y for bar in figure.data), strict=True)] == [10.0] * 3


def test_before_a_trial_has_ended_it_says_so(empty_view: StudyView) -> None:
    assert "No trial has ended" in compute_by_trial(empty_view).layout.annotations[0].text
