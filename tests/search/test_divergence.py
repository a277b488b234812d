from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import ArrayLike

from phashopt.search.divergence import ANYWHERE, OF_OTHERS, OF_RATES, OF_WIDTHS, SOFTNESS, STEPS, Survival


def _survival(places: ArrayLike, lost: ArrayLike, at: ArrayLike) -> list[float]:
    known = Survival(np.array(places, float).reshape(-1, 1), np.array(lost, float), [OF_RATES])
    return known(np.array(at, float)[:, None]).tolist()


def test_it_is_the_sum_over_all_pairs_of_ends() -> None:
    places, lost, at = [-0.6, -0.1, 0.05, 0.4], [0, 0, 1, 1], 0.2
    ends = [*STEPS, math.inf]

    def chance(place: float, upper: float, lower: float, softness: float) -> float:
        below = 1.0 if upper == math.inf else 1 / (1 + math.exp((place - upper) / softness))
        above = 1.0 if lower == math.inf else 1 / (1 + math.exp((lower - place) / softness))
        return (1 - ANYWHERE) * below * above

    weight = expected = 0.0
    for upper, lower, softness in product(ends, ends, SOFTNESS):
        odds = 1.0
        for end, inside in zip((upper, lower), OF_RATES, strict=True):
            odds *= 1 - inside if end == math.inf else inside / len(STEPS)
        for place, gone in zip(places, lost, strict=True):
            kept = chance(place, upper, lower, softness)
            odds *= 1 - kept if gone else kept
        weight += odds
        expected += odds * chance(at, upper, lower, softness)
    assert _survival(places, lost, [at]) == pytest.approx([expected / weight])


def test_before_anything_was_lost_nearly_everything_survives() -> None:
    assert min(_survival([], [], STEPS)) > 0.85


def test_losses_all_at_one_rate_make_lower_rates_the_safest() -> None:
    low, same, high = _survival([0.0] * 4, [1] * 4, [-0.8, 0.0, 0.8])
    assert low > 0.5 > high
    assert low > 0.5 > same


@pytest.mark.parametrize("sign", [1, -1], ids=["too high", "too low"])
def test_beyond_an_end_nothing_is_expected_and_within_it_all(sign: int) -> None:
    places = np.linspace(-1, 1, 20)
    beyond, within = _survival(places, sign * places > 0.3, [0.6 * sign, 0.0])
    assert beyond < 0.05
    assert within > 0.9


def test_survivors_below_say_nothing_of_a_rate_at_which_trainings_were_lost() -> None:
    kept, lost = [0.1] * 20, [0.3] * 2
    assert _survival([*kept, *lost], [0] * 20 + [1] * 2, [0.3])[0] < 0.25


def test_one_that_was_lost_among_many_that_survived_was_an_accident() -> None:
    places = np.linspace(-1, 1, 20)
    assert min(_survival(places, places == places[10], places)) > 0.9


def test_widths_are_feared_less_than_rates() -> None:
    at = np.array([[0.5]])
    of_rates, of_widths = (Survival(np.zeros((1, 1)), np.ones(1), [inside])(at) for inside in (OF_RATES, OF_WIDTHS))
    assert of_rates < 0.5 < of_widths


@pytest.mark.parametrize("guilty", [0, 1], ids=["the rate", "the decay"])
def test_of_two_numbers_the_one_beyond_which_all_is_lost_is_to_blame(guilty: int) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-1, 1, (40, 2))
    known = Survival(places, (places[:, guilty] > 0.4).astype(float), [OF_RATES, OF_OTHERS])
    beyond, within = np.zeros((2, 2))
    beyond[guilty], beyond[1 - guilty] = 0.8, 0.0
    within[guilty], within[1 - guilty] = 0.0, 0.8
    assert known(np.array([beyond, within])).tolist() == [pytest.approx(0.0, abs=0.05), pytest.approx(1.0, abs=0.1)]


def test_what_both_explain_is_blamed_on_the_rate() -> None:
    known = Survival(np.array([[0.0, 0.0], [0.5, 0.5]]), np.array([0.0, 1.0]), [OF_RATES, OF_OTHERS])
    of_rate, of_decay = known(np.array([[0.5, 0.0], [0.0, 0.5]]))
    assert of_rate < of_decay - 0.1


def test_a_number_that_never_varies_takes_no_part() -> None:
    places, lost = np.linspace(-1, 1, 20), np.linspace(-1, 1, 20) > 0.3
    alone = Survival(places[:, None], lost.astype(float), [OF_RATES])
    beside = Survival(np.column_stack([places, np.zeros(20)]), lost.astype(float), [OF_RATES, OF_OTHERS])
    at = np.column_stack([places, np.zeros(20)])
    assert beside(at) == pytest.approx(alone(places[:, None]), abs=0.02)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_was_lost_outside_the_range_was_lost_at_its_end(sign: int) -> None:
    known, beyond = [0.0] * 8 + [sign * 1.0] * 4, [0.0] * 8 + [sign * 1.7] * 4
    lost = [0] * 8 + [1] * 4
    assert _survival(beyond, lost, [0.0, sign * 1.0]) == _survival(known, lost, [0.0, sign * 1.0])
