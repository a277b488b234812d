from __future__ import annotations

import numpy as np
import pytest

from phashopt.search.excess import layer_excess, luck, residuals


def test_what_the_parameters_explain_leaves_nothing() -> None:
    design = np.random.default_rng(0).uniform(size=(400, 3))
    noise = np.random.default_rng(1).standard_normal(400)
    left = residuals(design @ [3.0, -6.0, 1.5] + 3.0 + noise, design)
    assert [np.corrcoef(left, column)[0, 1] for column in design.T] == pytest.approx([0.0] * 3, abs=0.1)
    assert np.corrcoef(left, noise)[0, 1] > 0.95
    assert np.median(np.abs(left)) == pytest.approx(0.67, abs=0.05)


def test_a_surprise_is_told_in_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    design, values = rng.uniform(size=(100, 2)), rng.standard_normal(100)
    values[7] += 40
    left = residuals(values, design)
    assert left[7] == 3
    assert np.abs(np.delete(left, 7)).mean() < 1.2


def test_an_unknown_value_says_nothing() -> None:
    values = np.array([0.1, np.nan, 0.9, 0.2, 0.7, 0.4, 0.3, 0.6])
    left = residuals(values, np.random.default_rng(0).uniform(size=(8, 2)))
    assert left[1] == 0
    assert np.isfinite(left).all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_values_explain_nothing(count: int) -> None:
    assert residuals(np.arange(float(count)), np.zeros((count, 3))).tolist() == [0.0] * count


def test_a_layer_fuller_than_its_width_explains_stands_out() -> None:
    rng = np.random.default_rng(0)
    coordinates = rng.uniform(size=(40, 4))
    covariates = 0.5 * coordinates[:, :3] + 0.02 * rng.standard_normal((40, 3))
    covariates[:, 1] += 0.3
    excess = layer_excess(covariates, coordinates)
    assert excess.argmax() == 1
    assert excess[1] > 0.5 > excess[[0, 2]].max()


def test_without_trials_no_layer_stands_out() -> None:
    assert layer_excess(np.zeros((0, 5)), np.zeros((0, 7))).tolist() == [0.0] * 5


def test_luck_is_one_number_a_reading() -> None:
    rng = np.random.default_rng(0)
    readings = rng.uniform(size=(30, 4))
    readings[:, 2] = np.nan
    found = luck(readings, rng.uniform(size=(30, 3)))
    assert found.shape == (30, 4)
    assert (found[:, 2] == 0).all()
    assert (found[:, [0, 1, 3]] != 0).any(0).all()
