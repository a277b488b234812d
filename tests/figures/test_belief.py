from __future__ import annotations

import json

import numpy as np
import pytest

from phashopt.figures.belief import BELIEF, SIGNAL, Belief, Curve, _ticks, belief_plots
from phashopt.figures.export import png_bytes
from phashopt.figures.heat import DEEP
from phashopt.figures.still import still
from phashopt.figures.view import StudyView

CURVE = Curve([24, 28, 32], [1.0, 0.9, 0.8], [1.1, 1.0, 0.9], [1.2, 1.1, 1.0])
SIGNALS = {1: 0.5, 2: 0.4}


def _belief(layers: int) -> Belief:
    return Belief(2, {f"width_{index:02d}": CURVE for index in range(layers)}, SIGNALS)


@pytest.mark.parametrize("layers", [1, 2, 5, DEEP + 1])
def test_every_belief_can_be_drawn_and_stand_still(view: StudyView, layers: int) -> None:
    plots = belief_plots(view, _belief(layers))
    assert list(plots) == [BELIEF, SIGNAL]
    for plot in plots.values():
        json.loads(plot.to_json(), parse_constant=pytest.fail)
        assert png_bytes(still(plot)).startswith(b"\x89PNG")


def test_baseline_and_best_stand_on_the_curve(view: StudyView) -> None:
    plot = belief_plots(view, _belief(1))[BELIEF]
    marks = {trace.name: (trace.x[0], trace.y[0]) for trace in plot.data if trace.mode == "markers"}
    assert marks == {"baseline": (32, 0.9), "best": (28, 1.0)}


def test_layers_are_on_one_scale(view: StudyView) -> None:
    plot = belief_plots(view, _belief(4))[BELIEF]
    assert len({axis.range for axis in plot.select_yaxes()}) == 1


def test_what_is_not_believed_is_not_drawn(view: StudyView) -> None:
    assert belief_plots(view, None) == {}
    assert list(belief_plots(view, Belief(2, {"width_00": CURVE}))) == [BELIEF]


@pytest.mark.parametrize("ends", [(-0.1, 0.1), (-0.5, 0.5), (-0.2, 1.0), (-0.1, 2.2), (-1.0, 3.0)])
def test_the_scale_of_errors_has_room_for_its_labels(ends: tuple[float, float]) -> None:
    ticks = np.log10(_ticks(*ends))
    assert 0.0 in ticks
    assert len(ticks) >= 2
    assert (ticks >= ends[0]).all()
    assert (ticks <= ends[1]).all()
    assert (np.diff(ticks) >= 0.14 * (ends[1] - ends[0]) - 1e-9).all()
