from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from phashopt.figures.view import StudyView
from phashopt.figures.view import StudyView as View


def test_columns_are_indexed_by_trial_number() -> None:
    view = View(pd.DataFrame({"number": [4, 9], "macs": [1, 2]}), [], [], [], None, None, None)
    assert view.numbers("macs").to_dict() == {4: 1.0, 9: 2.0}


@pytest.mark.parametrize("entry", [math.inf, -math.inf, math.nan, None, "many"])
def test_what_is_no_finite_number_is_nan(entry: object) -> None:
    view = View(pd.DataFrame({"number": [0, 1], "macs": [1, entry]}), [], [], [], None, None, None)
    np.testing.assert_array_equal(view.numbers("macs"), [1.0, math.nan])


def test_a_column_that_is_missing_is_empty(view: StudyView, empty_view: StudyView) -> None:
    assert view.numbers("latency_ms").isna().all()
    assert list(view.words("latency_ms")) == [""] * 7
    assert empty_view.numbers("macs").empty
    assert empty_view.words("decision").empty


def test_words_leave_missing_entries_empty(trials: pd.DataFrame) -> None:
    view = View(trials.assign(optimizer=["sgd", None, *["sgd"] * 5]), [], [], [], None, None, None)
    assert view.words("optimizer").to_dict()[1] == ""


def test_marked_leaves_out_what_is_not_there(view: StudyView, empty_view: StudyView) -> None:
    assert view.marked == {"baseline": 0, "best": 2}
    assert empty_view.marked == {}
