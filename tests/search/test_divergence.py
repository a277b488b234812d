from __future__ import annotations

import numpy as np
import pytest

from phashopt.search.divergence import divergence_features, divergence_weights, survival


def _features(rates: np.ndarray, widths: float = 0.5) -> np.ndarray:
    coordinates = np.concatenate([np.full((len(rates), 2), widths), np.zeros((len(rates), 1)), rates[:, None]], 1)
    return divergence_features(coordinates, 2, slice(3, 4))


def test_before_anything_diverged_nearly_everything_survives() -> None:
    weights = divergence_weights(np.zeros((0, 3)), np.zeros(0))
    assert survival(_features(np.linspace(-1, 1, 5)), weights) == pytest.approx(np.full(5, 0.982), abs=1e-3)


def test_high_rates_that_diverged_are_feared() -> None:
    rates = np.linspace(-1, 1, 40)
    weights = divergence_weights(_features(rates), (rates > 0.5).astype(float))
    low, high = survival(_features(np.array([-0.5, 0.95])), weights)
    assert low > 0.95
    assert high < 0.6


def test_losses_all_at_one_rate_make_lower_rates_safer() -> None:
    weights = divergence_weights(_features(np.zeros(4)), np.ones(4))
    low, same = survival(_features(np.array([-0.8, 0.0])), weights)
    assert same < 0.8
    assert low > 0.95


def test_the_mode_is_a_stationary_point() -> None:
    rates = np.linspace(-1, 1, 20)
    features, diverged = _features(rates), (rates > 0.2).astype(float)
    weights = divergence_weights(features, diverged)
    share = 1 - survival(features, weights)
    gradient = features.T @ (diverged - share) - (weights - [-4.0, 3.0, 0]) / np.array([1.0, 1.5, 1.0]) ** 2
    assert gradient == pytest.approx(np.zeros(3), abs=1e-3)


def test_a_rate_that_is_not_searched_says_nothing() -> None:
    assert divergence_features(np.full((4, 3), 0.5), 2, None).tolist() == [[1.0, 0.0, 0.0]] * 4
