from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from phashopt.search.costs import Quadratic
from phashopt.search.space import Axis, Limits, Point, Remembered, Space

MakeSpace = Callable[..., Space]


def _random(space: Space, count: int) -> list[Point]:
    rng = np.random.default_rng(3)
    return [
        {name: axis.values[int(rng.integers(len(axis.values)))] for name, axis in space.widths.items()}
        for _ in range(count)
    ]


def _widths(points: list[Point]) -> np.ndarray:
    return np.array([list(point.values()) for point in points], dtype=float)


def _shared(widths: Point) -> float:
    """Widths that several layers share: squares and products beyond neighbours."""
    a, b, c = widths.values()
    return 27 * a + 9 * a * a + 18 * a * b + 9 * a * c + c * c + 10 * c


def test_a_chain_is_found_exactly(make_space: MakeSpace) -> None:
    space = make_space()
    points = _random(space, 30)
    cost, cap = space.limits["macs"]
    assert Quadratic(space)(_widths(points))[:, 0] == pytest.approx([cost(point) / cap for point in points], rel=1e-9)


def test_shared_widths_and_two_caps_are_found_exactly() -> None:
    limits: Limits = {"macs": (_shared, 9000), "params": (lambda widths: sum(widths.values()), 100)}
    space = Space({f"width_{index:02d}": Axis(range(4, 65, 4)) for index in range(3)}, None, limits)
    points = _random(space, 30)
    expected = [[_shared(point) / 9000, sum(point.values()) / 100] for point in points]
    assert Quadratic(space)(_widths(points)) == pytest.approx(np.array(expected), rel=1e-9)


def test_a_layers_steps_cost_what_they_do_from_point_to_point(make_space: MakeSpace) -> None:
    space = make_space()
    cost, widths = Quadratic(space), _widths(_random(space, 5))
    values = np.array(space.widths["width_01"].values, dtype=float)
    changes = cost.changes(widths, values - widths[..., None])[:, :, 1]
    for row, change in zip(widths, changes[0], strict=True):
        moved = np.repeat(row[None], len(values), axis=0)
        moved[:, 1] = values
        assert change == pytest.approx((cost(moved) - cost(row))[:, 0])


def test_a_cost_that_is_no_quadratic_is_met_nearly(make_space: MakeSpace) -> None:
    limits: Limits = {"latency": (lambda widths: 1 + float(np.sqrt(sum(widths.values()))), 10)}
    space = Space(make_space().widths, None, limits)
    points = _random(space, 20)
    expected = [limits["latency"][0](point) / 10 for point in points]
    assert Quadratic(space)(_widths(points))[:, 0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("cost", "exact"),
    [(_shared, True), (lambda widths: max(widths.values()) ** 2, False), (lambda _: 10**400, False)],
    ids=["quadratic", "a maximum", "beyond any float"],
)
def test_it_is_known_whether_a_cost_is_quadratic(cost: Callable[[Point], float], exact: bool) -> None:
    space = Space(
        {f"width_{index:02d}": Axis(range(4, 65, 4)) for index in range(3)}, None, {"cost": (Remembered(cost), 9000)}
    )
    assert Quadratic(space).exact == exact
