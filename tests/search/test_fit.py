from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from phashopt.search.fit import fit, nearest_unseen, scatter, uniform
from phashopt.search.space import Axis, Point, Space


def _cost(widths: Point) -> float:
    counts = [3, *widths.values()]
    return float(sum(9 * before * after for before, after in pairwise(counts)))


@st.composite
def capped_spaces(draw: st.DrawFn) -> Space:
    layers = draw(st.integers(1, 5))
    axis = st.one_of(
        st.builds(lambda low, count, step: Axis(range(low, low + count * step, step)), *[st.integers(1, 12)] * 3),
        st.lists(st.integers(1, 300), min_size=1, max_size=6, unique=True).map(lambda v: Axis(tuple(sorted(v)))),
    )
    widths = {f"width_{index:02d}": draw(axis) for index in range(layers)}
    least, most = (_cost({name: axis.values[end] for name, axis in widths.items()}) for end in (0, -1))
    cap = draw(st.floats(least, most * 1.1))
    assume(cap >= least)
    return Space(widths, None, {"macs": (_cost, cap), "kernels": (lambda point: sum(point.values()), 10_000)})


def _random_point(space: Space, seed: int) -> Point:
    rng = np.random.default_rng(seed)
    return {name: int(rng.choice(list(axis.values))) for name, axis in space.axes.items()}


@given(capped_spaces(), st.integers(0, 1000))
def test_a_fitted_point_keeps_every_cap_exactly_and_is_full(space: Space, seed: int) -> None:
    names = list(space.widths)
    point = fit(_random_point(space, seed), space, names[::-1], names)
    assert space.feasible(point)
    for name, axis in space.widths.items():
        assert point[name] in axis.values
        wider = [value for value in axis.values if value > point[name]]
        assert not wider or not space.feasible(point | {name: wider[0]})


@given(capped_spaces(), st.integers(0, 1000))
def test_uniform_and_scattered_points_are_feasible_and_on_the_grid(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for point in (uniform(space), scatter(_random_point(space, seed), 0.3, space, rng)):
        assert space.feasible(point)
        assert all(point[name] in axis.values for name, axis in space.axes.items())


@pytest.mark.parametrize("payer", [0, 1, 2])
def test_the_first_payer_pays_alone_where_it_can(payer: int) -> None:
    space = Space(dict.fromkeys("abc", Axis(range(1, 101))), limits={"sum": (lambda p: sum(p.values()), 290)})
    names = list("abc")
    payers = names[payer:] + names[:payer]
    wanted = dict.fromkeys(names, 100)
    assert fit(wanted, space, payers, []) == wanted | {payers[0]: 90}


@pytest.mark.parametrize("gainer", [0, 1, 2])
def test_the_first_gainer_gains_first_and_no_more_than_a_step_a_round(gainer: int) -> None:
    space = Space(dict.fromkeys("abc", Axis(range(1, 101))), limits={"sum": (lambda p: sum(p.values()), 105)})
    names = list("abc")
    gainers = names[gainer:] + names[:gainer]
    start = dict.fromkeys(names, 30)
    assert fit(start, space, [], gainers) == start | {gainers[0]: 40, gainers[1]: 35}


def test_without_a_cap_nothing_moves(make_space: Callable[..., Space]) -> None:
    point = {"width_00": 8, "width_01": 64, "width_02": 32, "epochs": 4}
    names = ["width_00", "width_01", "width_02"]
    assert fit(point, make_space(cap=None), names, names) == point


def test_uniform_is_the_widest_network_of_one_width_that_the_cap_allows(make_space: Callable[..., Space]) -> None:
    cap = 24 + 2 * 24 * 24
    assert uniform(make_space(cap)) == dict.fromkeys(["width_00", "width_01", "width_02"], 24) | {"epochs": 6}


@pytest.mark.parametrize("cap", [400, 1000])
def test_nearest_unseen_finds_every_feasible_point_before_it_gives_up(
    cap: int, make_space: Callable[..., Space]
) -> None:
    space = make_space(cap, range(2, 4))
    axes = space.axes
    everything = [dict(zip(axes, values, strict=True)) for values in product(*(a.values for a in axes.values()))]
    feasible = {space.key(point) for point in everything if space.feasible(point)}
    seen: set[tuple[int, ...]] = set()
    rng = np.random.default_rng(0)
    while (point := nearest_unseen(space.at(0.5), space, seen, rng)) is not None:
        assert space.key(point) not in seen
        seen.add(space.key(point))
    assert seen == feasible


def test_nearest_unseen_is_the_fewest_grid_steps_away(make_space: Callable[..., Space]) -> None:
    space = make_space(None)
    center = {"width_00": 32, "width_01": 32, "width_02": 32, "epochs": 8}
    seen = {space.key(center)} | {space.key(center | {name: center[name] + 8}) for name in space.widths}
    point = nearest_unseen(center, space, seen, np.random.default_rng(1))
    assert point is not None
    moved = [name for name in space.axes if point[name] != center[name]]
    assert len(moved) == 1
    assert abs(point[moved[0]] - center[moved[0]]) == (1 if moved == ["epochs"] else 8)


def test_nearest_unseen_of_a_point_over_the_cap_is_near_it_under_the_cap(make_space: Callable[..., Space]) -> None:
    space = make_space(cap=1000)
    point = nearest_unseen(
        {"width_00": 40, "width_01": 24, "width_02": 16, "epochs": 4}, space, set(), np.random.default_rng(0)
    )
    assert point is not None
    assert space.feasible(point)
    assert min(point[name] for name in space.widths) == 16
