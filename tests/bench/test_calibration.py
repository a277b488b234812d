from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from phashopt.bench.calibration import Calibration, calibration
from phashopt.bench.replay import Replayed

TABLE = Path(__file__).parents[2] / "studies/results/tables/cifar5.parquet"


@pytest.fixture(scope="module")
def worlds() -> Replayed:
    return Replayed(TABLE, 0.75)


def test_forty_trainings_predict_the_others_as_well_as_training_each_does(worlds: Replayed) -> None:
    found = calibration(worlds(0), 40, np.random.default_rng(0))
    assert found.order > 0.85
    assert found.error < 1.2 * found.own_error
    assert 0.85 < found.inside <= 1


def test_what_was_learnt_improves_on_the_prior(worlds: Replayed) -> None:
    before, after = (calibration(worlds(0), count, np.random.default_rng(0)) for count in (0, 20))
    assert after.order > before.order
    assert after.error < before.error / 10


def test_the_networks_own_training_does_not_depend_on_what_was_learnt(worlds: Replayed) -> None:
    none, one = (calibration(worlds(0), count, np.random.default_rng(0)) for count in (0, 1))
    assert none.own_order == pytest.approx(one.own_order, abs=0.01)
    assert none.own_error == pytest.approx(one.own_error, abs=0.01)


@pytest.fixture(scope="module")
def wide() -> list[Calibration]:
    """Over rates and decays of which most are wrong."""
    worlds = Replayed(TABLE.with_name("mnist_wide.parquet"), 0.75)
    return [calibration(worlds(draw), 20, np.random.default_rng(draw)) for draw in range(3)]


def test_where_rates_over_decades_are_searched_intervals_hold_what_they_promise(wide: list[Calibration]) -> None:
    """Trainings end further apart there than a search expects."""
    assert np.mean([each.inside for each in wide]) > 0.9


def test_what_came_to_nothing_was_known_to_be_in_danger(wide: list[Calibration]) -> None:
    assert np.mean([each.survives for each in wide]) > 0.8
    assert np.mean([each.survives_lost for each in wide]) < 0.5


def test_where_everything_came_to_an_end_nobody_says_what_was_lost(worlds: Replayed) -> None:
    found = calibration(worlds(0), 10, np.random.default_rng(0))
    assert (found.survives, math.isnan(found.survives_lost)) == (1.0, True)


def test_an_interval_holds_the_luck_of_a_seed_too(worlds: Replayed) -> None:
    """However much is learnt of the networks, nine of ten single trainings stay inside."""
    assert calibration(worlds(0), 200, np.random.default_rng(0)).inside > 0.85
