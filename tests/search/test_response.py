from __future__ import annotations

import numpy as np
import pytest

from phashopt.search.response import Response, Scale

CASES = [([0.1, 0.5, 0.99], Scale.ACCURACY), ([-0.1, -3.0, -0.7], Scale.LOSS), ([-1.0, 20.0, 300.0], Scale.OTHER)]
UNTAUGHT = [(1, Scale.ACCURACY), (-1, Scale.LOSS)]


@pytest.mark.parametrize(("scores", "scale"), CASES)
def test_a_scale_is_told_from_the_scores(scores: list[float], scale: Scale) -> None:
    assert Response(scores).scale == scale


@pytest.mark.parametrize(("scores", "scale"), CASES)
def test_scores_survive_nats(scores: list[float], scale: Scale) -> None:
    response = Response(scores)
    assert response.score(response.nats(scores)) == pytest.approx(scores)


@pytest.mark.parametrize(("scores", "scale"), CASES)
def test_better_scores_have_more_nats(scores: list[float], scale: Scale) -> None:
    nats = Response(scores).nats(sorted(scores))
    assert (nats[1:] > nats[:-1]).all()


@pytest.mark.parametrize(("sign", "scale"), UNTAUGHT)
def test_before_any_score_the_direction_tells_the_scale(sign: int, scale: Scale) -> None:
    assert Response([], sign).scale == scale


def test_an_error_of_nothing_is_still_one_of_many() -> None:
    known, perfect = Response([-0.2, -0.1, -0.01], -1), Response([-0.2, -0.1, -0.01, 0.0], -1)
    assert perfect.nats([-0.2, -0.1, -0.01]) == pytest.approx(known.nats([-0.2, -0.1, -0.01]))
    assert perfect.nats(0.0) - perfect.nats(-0.01) == pytest.approx(np.log(2))


def test_where_most_values_are_the_same_the_others_are_a_few_deviations_away() -> None:
    nats = Response([0.0] * 6 + [5000.0, 4000.0, 1.0, -3.0]).nats([5000.0, -3.0])
    assert abs(nats).max() < 1


def test_ten_percent_fewer_errors_are_a_tenth_of_a_nat_whatever_the_level() -> None:
    response = Response([0.5])
    gains = [response.nats(1 - 0.9 * error) - response.nats(1 - error) for error in (0.5, 0.1, 0.02)]
    assert gains == pytest.approx([0.105] * 3, abs=1e-3)


@pytest.mark.parametrize("scores", [[], [0.5], [3.0, 3.0]])
def test_few_or_equal_scores_are_no_problem(scores: list[float]) -> None:
    assert not np.isnan(Response(scores).nats(scores)).any()


def test_where_every_loss_is_nothing_all_are_alike_and_none_is_infinite() -> None:
    nats = Response([0.0, 0.0], -1).nats([0.0, 0.0])
    assert np.isfinite(nats).all()
    assert nats[0] == nats[1]


def test_a_value_beyond_all_others_is_as_far_away_as_any_that_is_told_apart() -> None:
    scores = [1e308, -1e308, 1.0, 2.0, 3.0, 4.0, 1e307]
    nats = Response(scores).nats(scores)
    assert np.isfinite(nats).all()
    assert nats[0] == nats[6] == -nats[1] > nats[5] > nats[4]
