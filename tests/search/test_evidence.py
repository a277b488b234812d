from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from phashopt.search.basis import Array, Basis
from phashopt.search.evidence import (
    FREEDOM,
    TRUST,
    Belief,
    Observations,
    Posterior,
    Regression,
    learn,
    tangents,
)
from phashopt.search.space import Axis

LAYERS = 3
LEVEL = np.zeros(LAYERS)


@pytest.fixture
def basis() -> Basis:
    return Basis({f"width_{index:02d}": Axis(range(8, 65, 8)) for index in range(LAYERS)}, None, {})


def _prior(basis: Basis, tau: float, gamma: float, luck: float = 0.0, leans: Array = LEVEL) -> tuple[Array, Array]:
    """Of one belief and one way in which layers lean."""
    means, deviations = basis.prior(*(np.array([each]) for each in (tau, gamma, luck)), leans[None])
    return means[0, 0], deviations[0]


def _seen(basis: Basis, count: int, seed: int = 0, noise: float = 0.05) -> Observations:
    """From a world of the prior."""
    rng = np.random.default_rng(seed)
    coordinates = np.concatenate([rng.uniform(size=(count, LAYERS)), np.zeros((count, 1))], 1)
    features = basis.features(coordinates)
    means, deviations = _prior(basis, 1.0, 0.0)
    weights = means + deviations * rng.standard_normal(len(deviations))
    return Observations(features, features @ weights + noise * rng.standard_normal(count), np.zeros(count))


def _log_evidence(basis: Basis, seen: Observations, belief: Belief, excess: Array) -> float:
    means, deviations = _prior(basis, belief.tau, belief.gamma, belief.luck * belief.sigma, belief.kappa * excess)
    scaled = seen.features * deviations
    covariance = scaled @ scaled.T + belief.sigma**2 * np.eye(len(seen.responses))
    return float(multivariate_normal.logpdf(seen.responses, seen.features @ means, covariance))


def test_beliefs_are_weighed_by_their_exact_evidence(basis: Basis) -> None:
    seen, excess = _seen(basis, 12), np.array([1.0, -0.5, 0.2])
    seen.features[:, basis.parts["luck"]] = np.random.default_rng(1).standard_normal((12, 4))
    lucks, regression = {0.0: 0.3, 0.5: 0.7}, Regression(basis, seen, np.ones(12))
    cases = [*product((0.5, 1.0), (0.0, 0.3), lucks)]
    grids = [{Belief(tau, sigma, gamma, luck, 0.0): lucks[luck] for tau, gamma, luck in cases} for sigma in (0.05, 0.1)]
    found = Posterior.mixed([regression.posterior(grid, excess) for grid in grids])
    odds = [TRUST[each.kappa] * lucks[each.luck] for each in found.beliefs]
    logs = np.array([_log_evidence(basis, seen, each, excess) for each in found.beliefs]) + np.log(odds)
    assert found.probabilities == pytest.approx(np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum())


def test_the_posterior_mean_is_that_of_conditioning_a_gaussian(basis: Basis) -> None:
    seen = _seen(basis, 9)
    found = Regression(basis, seen, np.ones(9)).posterior({Belief(1.0, 0.1, 0.3, 0.0, 0.0): 1.0}, LEVEL)
    means, deviations = _prior(basis, 1.0, 0.3)
    covariance = np.diag(deviations**2)
    gain = covariance @ seen.features.T @ np.linalg.inv(seen.features @ covariance @ seen.features.T + 0.01 * np.eye(9))
    assert found.mean == pytest.approx(means + gain @ (seen.responses - seen.features @ means))


def test_draws_have_the_posteriors_mean_and_covariance(basis: Basis) -> None:
    seen = _seen(basis, 9)
    found = Regression(basis, seen, np.ones(9)).posterior({Belief(1.0, 0.1, 0.0, 0.0, 0.0): 1.0}, LEVEL)
    draws = found.draw(20_000, np.random.default_rng(0))
    free = ~basis.concave
    inverse = np.linalg.inv(found.factors[0] @ found.factors[0].T)
    covariance = found.deviations[0][:, None] * inverse * found.deviations[0]
    assert draws[:, free].mean(0) == pytest.approx(found.mean[free], abs=0.03)
    assert np.cov(draws[:, free].T) == pytest.approx(covariance[np.ix_(free, free)], abs=0.06)


def test_what_can_only_be_positive_is_drawn_positive(basis: Basis) -> None:
    draws = learn(basis, _seen(basis, 5), np.zeros(LAYERS)).draw(500, np.random.default_rng(1))
    assert (draws[:, basis.concave] >= 0).all()
    assert (draws[:, ~basis.concave] < 0).any()


def test_before_the_first_trial_the_posterior_is_the_prior(basis: Basis) -> None:
    empty = Observations(np.zeros((0, basis.features(np.zeros((1, 4))).shape[1])), np.zeros(0), np.zeros(0))
    found = learn(basis, empty, np.zeros(LAYERS))
    assert found.signal_weight == pytest.approx(0.5)
    assert found.means[0] == pytest.approx(_prior(basis, found.beliefs[0].tau, 0.0)[0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_one_run_that_failed_does_not_hide_how_noisy_the_others_are(basis: Basis, seed: int, noise: float) -> None:
    seen = _seen(basis, 40, seed, noise)
    failed = Observations(seen.features, seen.responses.copy(), seen.variances)
    failed.responses[0] -= 2.0
    with_it, without = (learn(basis, each, np.zeros(LAYERS)).likeliest.sigma for each in (failed, seen))
    assert with_it == without


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lie", [-3.0, 3.0])
def test_a_lying_signal_costs_at_most_log_two_nats_of_prediction(basis: Basis, seed: int, lie: float) -> None:
    seen, excess = _seen(basis, 25, seed), np.array([lie, 0.0, -lie])
    belief = Belief(1.0, 0.05, 0.0, 0.0, 0.0)
    found = Regression(basis, seen, np.ones(25)).posterior({belief: 1.0}, excess)
    logs = np.array([_log_evidence(basis, seen, each, excess) + np.log(TRUST[each.kappa]) for each in found.beliefs])
    with_signal = float(np.logaddexp.reduce(logs))
    without = _log_evidence(basis, seen, belief, excess)
    assert with_signal >= without - np.log(2) - 1e-9


def test_a_true_signal_gains_weight_and_a_false_one_loses_it(basis: Basis) -> None:
    excess = np.array([3.0, -3.0, 0.0])
    means, _ = _prior(basis, 2.0, 0.0, leans=0.5 * excess)
    seen = _seen(basis, 40)
    told = Observations(seen.features, seen.features @ means, seen.variances)
    assert learn(basis, told, excess).signal_weight > 0.9
    assert learn(basis, told, excess[::-1] * np.array([1, 1, 1])).signal_weight != pytest.approx(0.5)


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0.0, 0.5), (0.9, 0.9, 1.0)])
def test_readings_of_luck_count_where_they_tell_it(basis: Basis, share: float, least: float, most: float) -> None:
    seen, rng = _seen(basis, 60, noise=0.0), np.random.default_rng(2)
    luck, rest = rng.standard_normal((60, 4)), rng.standard_normal(60)
    noise = share * luck[:, 0] + (1 - share**2) ** 0.5 * rest
    features = seen.features.copy()
    features[:, basis.parts["luck"]] = luck
    found = learn(basis, Observations(features, seen.responses + 0.05 * noise, seen.variances), LEVEL)
    told = [belief.luck > 0 for belief in found.beliefs]
    assert least <= found.probabilities[told].sum() <= most


def test_without_readings_nothing_changes_for_beliefs_in_which_they_say_nothing(basis: Basis) -> None:
    seen = _seen(basis, 20)
    features = seen.features.copy()
    features[:, basis.parts["luck"]] = np.random.default_rng(3).standard_normal((20, 4))
    read = learn(basis, Observations(features, seen.responses, seen.variances), np.array([1.0, -1.0, 0.5]))
    unread = learn(basis, seen, LEVEL)
    assert read.silent.beliefs == unread.silent.beliefs
    assert (read.silent.means == unread.silent.means).all()
    assert read.silent.probabilities == pytest.approx(unread.silent.probabilities)


def test_one_silent_failure_moves_the_mean_little(basis: Basis) -> None:
    seen = _seen(basis, 30)
    broken = Observations(seen.features, seen.responses - np.eye(30)[3] * 2.0, seen.variances)
    clean, robust = learn(basis, seen, np.zeros(LAYERS)), learn(basis, broken, np.zeros(LAYERS))
    assert seen.features @ robust.mean == pytest.approx(seen.features @ clean.mean, abs=0.15)


@pytest.mark.parametrize("depth", [0.5, 2.0])
def test_one_silent_failure_does_not_pass_for_noise(basis: Basis, depth: float) -> None:
    seen = _seen(basis, 30, noise=0.02)
    broken = Observations(seen.features, seen.responses - np.eye(30)[3] * depth, seen.variances)
    assert (
        learn(basis, broken, np.zeros(LAYERS)).likeliest.sigma == learn(basis, seen, np.zeros(LAYERS)).likeliest.sigma
    )


@pytest.mark.parametrize("distance", [0.0, 1.0, 9.0, 100.0])
def test_the_gaussian_that_stands_for_a_t_lies_below_it_and_touches(distance: float) -> None:
    squares = np.linspace(0, 200, 401)
    pull, tangent = tangents(np.array([distance]))
    below = tangent[0] - pull[0] * squares / 2
    exact = -(FREEDOM + 1) / 2 * np.log1p(squares / FREEDOM)
    assert (below <= exact + 1e-12).all()
    assert below[np.searchsorted(squares, distance)] == pytest.approx(exact[np.searchsorted(squares, distance)])


def test_a_vague_observation_counts_for_less(basis: Basis) -> None:
    seen = _seen(basis, 30)
    shifted = seen.responses - 1.0 * (np.arange(30) < 10)
    vague = Observations(seen.features, shifted, 25.0 * (np.arange(30) < 10))
    assert seen.features @ learn(basis, vague, np.zeros(LAYERS)).mean == pytest.approx(seen.responses, abs=0.2)
