from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from phashopt.search.history import Past, Pending
from phashopt.search.record import Record
from phashopt.search.space import Space
from phashopt.search.start import Start
from phashopt.search.tried import Tried

MakeSpace = Callable[..., Space]
MakeRecord = Callable[..., Record]
POINT = {"width_00": 8, "width_01": 16, "width_02": 24, "epochs": 6, "learning_rate": 0.01}


@pytest.fixture
def record(make_record: MakeRecord) -> Record:
    return replace(make_record(0, (8, 16, 24), (0.1,) * 3, epochs=6), params=POINT)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"learning_rate": 0.0101}, True),
        ({"learning_rate": 0.05}, False),
        ({"epochs": 5}, False),
        ({"width_02": 32}, False),
    ],
)
@pytest.mark.parametrize("state", ["records", "stopped", "pending"])
def test_a_point_is_another_with_another_width_length_or_rate(
    make_space: MakeSpace, record: Record, change: dict[str, float], same: bool, state: str
) -> None:
    past = Past([], [], [], {})
    tried = Tried(make_space()).update(replace(past, **{state: [Pending(POINT) if state == "pending" else record]}))
    assert ({**POINT, **change} in tried) is same


@pytest.mark.parametrize(("before", "age", "same"), [(None, 0, True), (None, 6, False), (6, 6, True), (6, 12, False)])
def test_what_begins_with_kernels_of_another_age_is_another_training(
    make_space: MakeSpace, record: Record, before: int | None, age: int, same: bool
) -> None:
    start, other = (Start(epochs, 1.0, 0.0) if epochs else None for epochs in (before, age))
    for past in (Past([replace(record, start=start)], [], [], {}), Past([], [], [Pending(POINT, start)], {})):
        tried = Tried(make_space()).update(past)
        assert POINT in tried
        assert tried.begun(POINT, other) is same


def test_what_is_under_way_is_forgotten_when_it_goes_and_what_finished_is_not(
    make_space: MakeSpace, record: Record
) -> None:
    other = POINT | {"width_00": 64}
    tried = Tried(make_space()).update(Past([record], [], [Pending(other)], {})).update(Past([record], [], [], {}))
    assert POINT in tried
    assert other not in tried
    assert tried.keys == {(8, 16, 24, 6)}


def test_a_trial_that_ends_between_others_is_noticed(make_space: MakeSpace, record: Record) -> None:
    late = replace(record, number=1, params=POINT | {"width_00": 64})
    last = replace(record, number=2, params=POINT | {"width_00": 32})
    tried = Tried(make_space()).update(Past([record, last], [], [], {})).update(Past([record, late, last], [], [], {}))
    assert all(each.params in tried for each in (record, late, last))


def test_another_studys_trials_take_the_place_of_the_first(make_space: MakeSpace, record: Record) -> None:
    other = replace(record, params=POINT | {"width_00": 64})
    tried = Tried(make_space()).update(Past([record], [], [], {})).update(Past([other], [], [], {}))
    assert POINT not in tried
    assert other.params in tried


def test_a_trial_that_lacks_a_parameter_is_left_out(make_space: MakeSpace, record: Record) -> None:
    assert not Tried(make_space()).update(Past([replace(record, params={"width_00": 8})], [], [], {})).keys


def test_what_another_study_trained_may_be_trained_here(make_space: MakeSpace, record: Record) -> None:
    adopted = replace(record, adopted=True)
    assert adopted.params not in Tried(make_space()).update(Past([adopted], [], [], {}))
