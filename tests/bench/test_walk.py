from __future__ import annotations

import pytest

from phashopt.bench.walk import SUITABLE, Walk, wasted
from phashopt.search.space import Axis
from phashopt.service.summary import TrialSummary
from phashopt.trace import Epoch, Trace

WALK = Walk({"width_00": Axis(range(8, 65, 8)), "width_01": Axis(range(8, 129, 8))}, "width_00", "width_01")
MUCH, LITTLE = SUITABLE + 0.2, SUITABLE - 0.1


def network(first: int, second: int, of_first: float, of_second: float) -> TrialSummary:
    readings = {"duplicates.width_00": of_first, "duplicates.width_01": of_second}
    readings |= {"dead.width_00": 0.0, "dead.width_01": 0.0}
    return TrialSummary(
        number=0, state="COMPLETE", value=0.9, feasible=True, params={"width_00": first, "width_01": second},
        attrs=readings, decision="", parent=-1,
        epochs_used=2, seconds=1.0, trace=Trace([Epoch(1, accuracy=0.90), Epoch(2, accuracy=0.901)]),
    )  # fmt: skip


def test_a_redundant_layer_is_reduced_first_and_by_one_gradual_step() -> None:
    step = WALK.next_step([network(64, 32, MUCH, LITTLE)])
    assert step.widths == {"width_00": 48, "width_01": 32}
    assert "45% of the 64 kernels of width_00 are near-copies or dead though trained out" in step.why


def test_a_suitable_layer_is_left_and_the_other_grows() -> None:
    step = WALK.next_step([network(64, 32, MUCH, LITTLE), network(16, 32, LITTLE, LITTLE)])
    assert step.widths == {"width_00": 16, "width_01": 40}


def test_once_the_other_grows_the_first_is_not_touched_again() -> None:
    step = WALK.next_step([network(16, 32, LITTLE, LITTLE), network(16, 40, MUCH, LITTLE)])
    assert step.widths == {"width_00": 16, "width_01": 56}


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (network(16, 56, LITTLE, MUCH), "too many: 40 was the last suitable width"),
        (network(16, 128, LITTLE, LITTLE), "suitable even at the largest width"),
    ],
)
def test_the_walk_ends_where_copies_set_in_or_the_grid_does(last: TrialSummary, why: str) -> None:
    step = WALK.next_step([network(16, 32, LITTLE, LITTLE), network(16, 40, LITTLE, LITTLE), last])
    assert step.widths is None
    assert why in step.why


def test_what_cannot_be_reduced_further_does_not_hold_up_the_walk() -> None:
    assert WALK.next_step([network(8, 32, MUCH, LITTLE)]).widths == {"width_00": 8, "width_01": 40}


def test_a_layer_too_full_of_copies_is_never_grown() -> None:
    step = WALK.next_step([network(16, 32, LITTLE, MUCH)])
    assert (step.widths, "it is not grown" in step.why) == (None, True)


def test_every_walk_ends() -> None:
    trials = [network(64, 32, MUCH, LITTLE)]
    while (step := WALK.next_step(trials)).widths is not None:
        trials.append(network(step.widths["width_00"], step.widths["width_01"], MUCH, LITTLE))
    assert trials[-1].params == {"width_00": 8, "width_01": 128}


def test_dead_kernels_are_wasted_as_copies_are() -> None:
    trial = network(64, 32, 0.5, 0.0)
    trial.attrs["dead.width_00"] = 0.5
    assert wasted(trial, "width_00") == 0.75
