from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from phashopt.search.judge import is_high, is_low, levels, overheated, readings_by_layer
from phashopt.search.record import Record

NAMES = ["width_00", "width_01", "width_02"]
MakeRecord = Callable[..., Record]


def _levels(records: list[Record]) -> dict[str, float]:
    return levels(records[0], readings_by_layer(records, NAMES))


def test_of_one_trial_the_layers_are_ranked_among_each_other(make_record: MakeRecord) -> None:
    assert _levels([make_record(0, (8, 8, 8), (0.2, 0.6, 0.4))]) == dict(zip(NAMES, (0.0, 1.0, 0.5), strict=True))


def test_half_of_a_level_is_the_layers_rank_in_its_own_history(make_record: MakeRecord) -> None:
    others = [make_record(number, (8, 8, 8), (0.1 * number, 0.6, 0.4)) for number in (1, 3)]
    level = _levels([make_record(0, (8, 8, 8), (0.2, 0.6, 0.4)), *others])
    assert level == {"width_00": 0.25, "width_01": 0.75, "width_02": 0.5}


def test_levels_do_not_change_when_every_redundancy_is_halved(make_record: MakeRecord) -> None:
    rows = [(0.2, 0.6, 0.4), (0.5, 0.1, 0.3), (0.9, 0.8, 0.7)]
    full = [make_record(number, (8, 8, 8), row) for number, row in enumerate(rows)]
    half = [make_record(number, (8, 8, 8), [rho / 2 for rho in row], duplicates=0.1) for number, row in enumerate(rows)]
    assert _levels(full) == _levels(half)


@pytest.mark.parametrize("redundancies", [(0.3, 0.3, 0.3), (0.0, 0.0, 0.0)])
def test_where_nothing_differs_every_layer_is_as_usual(
    redundancies: tuple[float, ...], make_record: MakeRecord
) -> None:
    assert set(_levels([make_record(0, (8, 8, 8), redundancies)]).values()) == {0.5}


def test_a_layer_that_was_not_read_is_as_usual(make_record: MakeRecord) -> None:
    start = make_record(0, (8, 8, 8), (0.1, math.nan, 0.6), duplicates=math.nan)
    assert _levels([start]) == {"width_00": 0.0, "width_01": 0.5, "width_02": 1.0}


@pytest.mark.parametrize(
    ("rho", "level", "low", "high"),
    [(0.2, 0.0, True, False), (0.7, 0.0, False, False), (0.7, 1.0, False, True), (0.05, 1.0, False, False)],
)
def test_a_rank_is_overruled_by_what_the_share_of_copies_itself_means(
    rho: float, level: float, low: bool, high: bool, make_record: MakeRecord
) -> None:
    start = make_record(0, (8, 8, 8), (rho, 0.3, 0.3), duplicates=rho)
    assert (is_low(level, start, "width_00"), is_high(level, start, "width_00")) == (low, high)


@pytest.mark.parametrize(("duplicates", "dead", "hot"), [(0.5, 0.4, True), (0.5, 0.0, False), (0.0, 0.4, False)])
def test_only_copies_beside_dead_maps_mean_too_high_a_rate(
    duplicates: float, dead: float, hot: bool, make_record: MakeRecord
) -> None:
    start = make_record(0, (8, 8, 8), (0.3, 0.3, 0.3), duplicates=duplicates, dead=dead)
    assert overheated(start, NAMES) == (NAMES if hot else [])
