from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phashopt.bench.calibration import calibration
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


def test_where_rates_over_decades_are_searched_intervals_hold_what_they_promise() -> None:
    """Trainings end further apart there than a search expects."""
    wide = Replayed(TABLE.with_name("mnist_wide.parquet"), 0.75)
    found = [calibration(wide(draw), 20, np.random.default_rng(draw)) for draw in range(3)]
    assert np.mean([each.inside for each in found]) > 0.8


def test_an_interval_holds_the_luck_of_a_seed_too(worlds: Replayed) -> None:
    """However much is learnt of the networks, nine of ten single trainings stay inside."""
    assert calibration(worlds(0), 200, np.random.default_rng(0)).inside > 0.85
