from __future__ import annotations

import pandas as pd

from phashopt.figures.curves import learning_curves
from phashopt.figures.heat import DEEP
from phashopt.figures.view import StudyView
from phashopt.trace import Epoch, Reading, Trace


def test_curves_show_the_trace_and_only_epochs_that_were_read() -> None:
    readings = {"width_00": Reading(0.25, 0.5, 0.0)}
    trace = Trace([Epoch(1, 1.0, 0.7, 0.1, readings), Epoch(2, 0.9, 0.8, 0.1), Epoch(4, 0.5, 0.9, 0.1, readings)])
    view = StudyView(pd.DataFrame({"number": [3]}), ["width_00"], [], [], 3, None, None, {3: trace})
    accuracy, _, duplicates, _ = learning_curves(view).data
    assert (list(accuracy.x), list(accuracy.y)) == ([1, 2, 4], [0.7, 0.8, 0.9])
    assert (list(duplicates.x), list(duplicates.y)) == ([1, 4], [0.5, 0.5])


def test_baseline_and_best_have_each_quantity_in_each_layer(view: StudyView) -> None:
    names = [trace.name for trace in learning_curves(view).data]
    layers = ["redundancy", "duplicates", "dead"] * 2
    assert names == ["baseline", *layers, "best", *layers]
    keys = [trace.name for trace in learning_curves(view).data if trace.showlegend]
    assert sorted(keys) == ["baseline", "best", "dead", "duplicates", "redundancy"]


def test_deep_networks_are_one_map_of_the_best(view: StudyView) -> None:
    deep = StudyView(view.trials, [f"width_{index:02d}" for index in range(DEEP + 1)], [], [], 2, 0, None, view.traces)
    (cells,) = learning_curves(deep).data
    assert list(cells.x) == [1]
    assert cells.z[0][0] == 40
    assert cells.z[1][0] is None


def test_without_epochs_it_says_so(view: StudyView) -> None:
    figure = learning_curves(StudyView(view.trials, [], [], [], 2, 0, None, {0: Trace(), 2: Trace()}))
    assert not figure.data
    assert "Neither" in figure.layout.annotations[0].text
