from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import pytest

from phashopt.figures.trajectories import QUANTITIES, redundancy_trajectories, width_trajectories
from phashopt.figures.view import StudyView


def panel(figure: go.Figure, axis: str, name: str) -> dict[int, float]:
    trace = next(trace for trace in figure.data if trace.yaxis == axis and trace.name == name)
    return dict(zip(trace.x, trace.y, strict=True))


def test_every_trial_is_once_in_every_panel_and_hollow_when_infeasible(view: StudyView, trials: pd.DataFrame) -> None:
    figure = width_trajectories(view)
    for axis, name in (("y", "width_00"), ("y2", "width_01")):
        inside, outside = panel(figure, axis, "within the caps"), panel(figure, axis, "over a cap")
        assert outside == {3: trials[name][3]}
        assert inside | outside == trials[name].to_dict()


def test_baseline_and_best_are_marked_in_every_panel(view: StudyView) -> None:
    figure = width_trajectories(view)
    assert [panel(figure, axis, "best") for axis in ("y", "y2")] == [{2: 28}, {2: 44}]
    assert [(shape.y0, shape.yref) for shape in figure.layout.shapes] == [(32, "y"), (64, "y2")]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_reading_that_is_missing_is_left_out(view: StudyView, trials: pd.DataFrame, quantity: str) -> None:
    figure = redundancy_trajectories(view)
    assert panel(figure, "y", quantity) == trials[f"{quantity}.width_00"].dropna().to_dict()
    assert panel(figure, "y2", quantity) == {}


def test_the_legend_names_each_series_once(view: StudyView) -> None:
    for figure in (width_trajectories(view), redundancy_trajectories(view)):
        shown = [trace.name for trace in figure.data if trace.showlegend]
        assert len(shown) == len(set(shown))


@pytest.mark.parametrize("layers", [1, 3, 4, 13])
def test_every_layer_has_one_titled_panel(view: StudyView, layers: int) -> None:
    names = [f"width_{index:02d}" for index in range(layers)]
    table = pd.DataFrame({"number": [0], "feasible": [True], **{name: [8] for name in names}})
    figure = width_trajectories(StudyView(table, names, [], [], None, None, None))
    assert [note.text for note in figure.layout.annotations] == [f"Layer {n + 1} ({names[n]})" for n in range(layers)]
    assert len(list(figure.select_yaxes())) == layers


@pytest.mark.parametrize("draw", [width_trajectories, redundancy_trajectories])
def test_an_empty_study_says_so(empty_view: StudyView, draw: object) -> None:
    figure = draw(empty_view)  # type: ignore[operator]
    assert not figure.data
    assert "No trial" in figure.layout.annotations[0].text
