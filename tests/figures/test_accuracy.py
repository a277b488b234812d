from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from phashopt.figures.accuracy import accuracy_against_macs, accuracy_floor
from phashopt.figures.view import StudyView

from .conftest import make_view


def cloud(figure: go.Figure, name: str) -> list[tuple[float, float]]:
    trace = next(trace for trace in figure.data if trace.name.startswith(name))
    return list(zip(trace.x, trace.y, strict=True))


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("within the caps", [(9e5, 0.90), (5e5, 0.93), (8e5, 0.95), (6e5, 0.30)]),
        ("over a cap", [(2e6, 0.96)]),
        ("stopped early", [(3e5, 0.60)]),
        ("front", [(5e5, 0.93), (8e5, 0.95)]),
        ("baseline", [(9e5, 0.90)]),
        ("best", [(8e5, 0.95)]),
    ],
)
def test_each_trial_is_drawn_as_what_it_is(view: StudyView, name: str, points: list[tuple[float, float]]) -> None:
    assert cloud(accuracy_against_macs(view), name) == points


def test_trials_over_a_cap_are_hollow(view: StudyView) -> None:
    symbols = {trace.name: trace.marker.symbol for trace in accuracy_against_macs(view).data}
    assert symbols["over a cap"] == symbols["within the caps"] + "-open"


def test_the_cap_is_a_line(view: StudyView) -> None:
    assert [shape.x0 for shape in accuracy_against_macs(view).layout.shapes] == [1e6]


@pytest.mark.parametrize(("cheapest", "place"), [(3e5, 1e6), (3e3, 6.0)])
def test_the_caps_name_stands_over_its_line(trials: pd.DataFrame, cheapest: float, place: float) -> None:
    wide = trials.assign(macs=[9e5, 5e5, 8e5, 2e6, cheapest, 4e5, 6e5])
    notes = accuracy_against_macs(make_view(wide)).layout.annotations
    assert [note.x for note in notes if note.text == "cap"] == [place]


def test_hover_names_configuration_and_decision_with_text_escaped(view: StudyView) -> None:
    trace = next(trace for trace in accuracy_against_macs(view).data if trace.name == "within the caps")
    assert trace.hovertext[1] == "<b>trial 1</b>, 93.0%<br>24-40 kernels, optimizer sgd<br>start"
    assert "16-16 kernels, optimizer &lt;i&gt;adamw&lt;/i&gt;" in trace.hovertext[3]
    assert "&lt;b&gt;bold&lt;/b&gt;" in trace.hovertext[3]


def test_the_note_counts_the_trials_below_the_axis(view: StudyView) -> None:
    figure = accuracy_against_macs(view)
    low = figure.layout.yaxis.range[0]
    below = sum(y < low for trace in figure.data if trace.name not in {"baseline", "best", "front"} for y in trace.y)
    notes = [note.text for note in figure.layout.annotations if "below" in note.text]
    assert [note.split()[0] for note in notes] == ([str(below)] if below else [])


@pytest.mark.parametrize(
    ("accuracy", "floor"),
    [([0.9], 0.9), ([0.9, 0.9, 0.9], 0.9), ([0.1, 0.90, 0.91, 0.92, 0.93, 0.94], 0.9025 - 1.5 * 0.025)],
)
def test_the_floor_is_tukeys_fence(accuracy: list[float], floor: float) -> None:
    np.testing.assert_allclose(accuracy_floor(pd.Series(accuracy)), floor)


def test_an_empty_study_says_so(empty_view: StudyView) -> None:
    figure = accuracy_against_macs(empty_view)
    assert not figure.data
    assert "No trial" in figure.layout.annotations[0].text


def test_children_are_joined_to_parents_that_can_be_seen(trials: pd.DataFrame) -> None:
    view = make_view(trials.assign(parent=[-1, 0, 1, -1, -1, 0, 5]))
    (families,) = [trace for trace in accuracy_against_macs(view).data if trace.name == "parent to child"]
    assert list(families.x) == [9e5, 5e5, None, 5e5, 8e5, None]
    assert list(families.y) == [0.90, 0.93, None, 0.93, 0.95, None]
