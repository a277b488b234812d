from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phashopt.trace import Epoch, Reading, Trace, read_trace

shares = st.one_of(st.just(math.nan), st.floats(0, 1))
losses = st.one_of(shares, st.just(math.inf))
readings = st.dictionaries(st.sampled_from(["width_00", "width_01"]), st.builds(Reading, shares, shares, shares))
epochs = st.builds(Epoch, st.integers(1, 99), losses, shares, shares, readings)


def number(row: Epoch) -> int:
    return row.number


def same(left: float, right: float) -> bool:
    return (math.isnan(left) and math.isnan(right)) or left == right or abs(left - right) <= 5e-6 * left


@given(
    st.lists(epochs, max_size=5, unique_by=lambda row: row.number).map(
        lambda rows: sorted(rows, key=lambda row: row.number)
    )
)
def test_json_round_trip_keeps_every_number(rows: list[Epoch]) -> None:
    document = json.loads(json.dumps(Trace(rows).to_json(), allow_nan=False))
    back = Trace.from_json(document).epochs
    assert [row.number for row in back] == [row.number for row in rows]
    for left, right in zip(rows, back, strict=True):
        assert same(left.loss, right.loss)
        assert same(left.accuracy, right.accuracy)
        for name, reading in left.readings.items():
            if not all(math.isnan(value) for value in vars(reading).values()):
                assert same(reading.redundancy, right.readings[name].redundancy)
                assert same(reading.dead, right.readings[name].dead)


@given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=5))
def test_however_small_numbers_keep_their_digits(numbers: list[float]) -> None:
    rows = [Epoch(number, loss=value, learning_rate=value) for number, value in enumerate(numbers, 1)]
    rounded, exact = (Trace.from_json(json.loads(json.dumps(Trace(rows).to_json(digits)))) for digits in (6, None))
    assert [row.learning_rate for row in rounded.epochs] == pytest.approx(numbers, rel=5e-6)
    assert [row.loss for row in exact.epochs] == numbers


def test_a_repeated_epoch_replaces_what_an_interrupted_attempt_left() -> None:
    trace = Trace([Epoch(1), Epoch(2, accuracy=0.1), Epoch(3)])
    trace.add(Epoch(2, accuracy=0.2))
    assert [(row.number, row.accuracy) for row in trace.epochs if row.number == 2] == [(2, 0.2)]
    assert len(trace.epochs) == 2


def test_last_readings_are_those_of_the_last_epoch_read() -> None:
    reading = {"width_00": Reading(0.5, 0.1, 0.0)}
    assert Trace([Epoch(1, readings=reading), Epoch(2)]).last_readings == reading


def test_a_trial_without_trace_has_an_empty_one() -> None:
    assert read_trace({}) == Trace()


def test_layers_keep_the_order_of_the_network() -> None:
    order = ["stem", "body", "head"]
    trace = Trace([Epoch(1), Epoch(2, readings={name: Reading(0.1, 0.2, 0.0) for name in order})])
    assert list(Trace.from_json(trace.to_json()).last_readings) == order
