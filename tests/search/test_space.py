from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phashopt.errors import UserError
from phashopt.search.space import Axis, Remembered, Space, numbered

axes = st.one_of(
    st.lists(st.integers(1, 2000), min_size=1, max_size=12, unique=True).map(
        lambda values: Axis(tuple(sorted(values)))
    ),
    st.builds(lambda low, count, step: Axis(range(low, low + count * step, step)), *[st.integers(1, 40)] * 3),
)


@given(axes, st.floats(0.5, 4000))
def test_nearest_is_nearest_on_a_log_scale(axis: Axis, value: float) -> None:
    distance = min(abs(math.log(candidate / max(value, axis.values[0]))) for candidate in axis.values)
    nearest = axis.nearest(value)
    assert nearest in axis.values
    assert abs(math.log(nearest / max(value, axis.values[0]))) == pytest.approx(distance)


@given(axes, st.data())
def test_a_step_moves_where_it_can_and_stays_on_the_grid(axis: Axis, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(axis.values))
    assert axis.up(value) in axis.values
    assert axis.down(value) in axis.values
    assert axis.up(value) > value or value == axis.values[-1]
    assert axis.down(value) < value or value == axis.values[0]


@pytest.mark.parametrize(
    ("values", "value", "up", "down"),
    [
        ((4, 8, 16), 8, 16, 4),
        (range(8, 129, 8), 48, 64, 40),
        (range(1, 513), 100, 133, 75),
        (range(8, 65, 8), 30, 40, 24),
    ],
)
def test_a_step_is_a_third_where_the_grid_is_fine(values: range, value: int, up: int, down: int) -> None:
    assert (Axis(values).up(value), Axis(values).down(value)) == (up, down)


@given(axes, st.data())
def test_fraction_inverts_at(axis: Axis, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(axis.values))
    assert axis.at(axis.fraction(value)) == value
    assert (axis.at(0.0), axis.at(1.0)) == (axis.values[0], axis.values[-1])


@given(axes, st.data())
def test_neighbours_are_the_next_grid_values(axis: Axis, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(axis.values) - 1))
    around = [index for index in (place - 1, place + 1) if 0 <= index < len(axis.values)]
    assert axis.neighbours(axis.values[place]) == [axis.values[index] for index in around]


def test_a_point_at_the_cap_is_feasible(make_space: Callable[..., Space]) -> None:
    point = {"width_00": 8, "width_01": 16, "width_02": 24, "epochs": 4}
    assert make_space(cap=8 + 8 * 16 + 16 * 24).feasible(point)
    assert not make_space(cap=8 + 8 * 16 + 16 * 24 - 1).feasible(point)


def test_given_values_are_the_only_ones_left(make_space: Callable[..., Space]) -> None:
    space = make_space().given({"width_01": 30, "epochs": 5})
    assert space.axes["width_01"].values == (30,)
    assert space.axes["epochs"].values == (5,)
    assert space.axes["width_00"] == make_space().axes["width_00"]


def test_a_given_value_stays_at_its_place_in_the_range(make_space: Callable[..., Space]) -> None:
    every, one = (space.axes["width_01"] for space in (make_space(), make_space().given({"width_01": 24})))
    assert one.fractions([8, 24, 64]) == pytest.approx(every.fractions([8, 24, 64]))
    assert {one.at(fraction) for fraction in (0.0, 0.5, 1.0)} == {24}


def test_a_cap_below_the_smallest_network_names_both_numbers(make_space: Callable[..., Space]) -> None:
    with pytest.raises(UserError, match="macs <= 100: the smallest has 136"):
        make_space(cap=100).require_feasible()
    make_space(cap=136).require_feasible()


def test_a_remembered_cost_is_asked_once() -> None:
    asked: list[dict[str, int]] = []

    def cost(point: dict[str, int]) -> float:
        asked.append(point)
        return 2.0 * point["width_00"]

    again = Remembered(cost)
    assert [again({"width_00": 4}), again({"width_00": 4}), again({"width_00": 8})] == [8.0, 8.0, 16.0]
    assert asked == [{"width_00": 4}, {"width_00": 8}]


def test_layers_are_counted_as_people_count() -> None:
    assert sorted(["conv10", "conv9", "stem"], key=numbered) == ["conv9", "conv10", "stem"]
