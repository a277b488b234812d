"""What the finished trials say of the model's weights: linear regression whose prior is averaged by exact evidence.

SAMPLER.md, section 2. With weights theta = m + S u, u ~ N(0, I), each belief has the closed-form posterior
u ~ N(A^-1 b, A^-1), A = I + S F'WF S / sigma^2, b = S F'W(z - Fm) / sigma^2, and a closed-form evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtrs  # scipy's own names take longer to check their input than to compute

from phashopt.search.basis import Array, Basis

TAUS = (0.25, 0.5, 1.0, 2.0)
SIGMAS = (0.02, 0.05, 0.1, 0.2)
RHOS = (0.0, 1.0)
TRUST: Mapping[float, float] = {
    0.0: 0.5,
    -1.0: 0.125,
    -0.5: 0.125,
    0.5: 0.125,
    1.0: 0.125,
}  # kappa -> prior probability
NO_TRUST: Mapping[float, float] = {0.0: 1.0}
FREEDOM = 4  # of the t distribution of the noise: a run that failed in silence is no proof against its network


@dataclass(frozen=True)
class Belief:
    """One set of the numbers behind the prior; the model averages over a grid of them.

    `tau` is the total log-error between narrowest and widest network, `sigma` the noise of a trial, `rho` the strength
    of interactions, `kappa` how much a layer's redundancy beyond what its width explains lowers its slope.
    """

    tau: float
    sigma: float
    rho: float
    kappa: float


@dataclass(frozen=True)
class Observations:
    """Features (n, d), responses (n,) in nats, and variances (n,) beyond a trial's own noise."""

    features: Array
    responses: Array
    variances: Array


@dataclass(frozen=True)
class Posterior:
    """A mixture of Gaussians over the weights (d,): one for each belief, with its probability."""

    basis: Basis
    beliefs: list[Belief]
    logs: Array  # (H,) log evidence and prior, up to a constant
    means: Array  # (H, d)
    deviations: Array  # (H, d), the prior's
    factors: list[Array]  # (d, d) Cholesky factors of A

    @classmethod
    def mixed(cls, parts: Sequence[Posterior]) -> Posterior:
        """One of several, each as probable as its evidence makes it."""
        return cls(
            parts[0].basis,
            [belief for part in parts for belief in part.beliefs],
            np.concatenate([part.logs for part in parts]),
            np.concatenate([part.means for part in parts]),
            np.concatenate([part.deviations for part in parts]),
            [factor for part in parts for factor in part.factors],
        )

    @cached_property
    def probabilities(self) -> Array:
        """(H,)."""
        shares = np.exp(self.logs - self.logs.max())
        return np.asarray(shares / shares.sum())

    @property
    def mean(self) -> Array:
        """(d,)."""
        return self.probabilities @ self.means

    @property
    def signal_weight(self) -> float:
        """The probability that redundancy says anything of a layer's worth; 1/2 before the first trial."""
        silent = [belief.kappa == 0 for belief in self.beliefs]
        return 1 - float(self.probabilities[silent].sum())

    @property
    def likeliest(self) -> Belief:
        """The belief with the highest probability."""
        return self.beliefs[int(self.probabilities.argmax())]

    def squares(self, seen: Observations) -> Array:
        """(n,) expected squared distances of all responses from the likeliest belief's prediction."""
        likeliest = int(self.probabilities.argmax())
        scaled = (seen.features * self.deviations[likeliest]).T
        spread = solve(self.factors[likeliest], scaled)
        return np.asarray((seen.responses - seen.features @ self.means[likeliest]) ** 2 + (spread**2).sum(0))

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """(count, d) weights; those that can only be positive are."""
        chosen = np.sort(rng.choice(len(self.beliefs), count, p=self.probabilities))
        noise = rng.standard_normal((count, self.means.shape[1]))
        draws = np.empty_like(noise)
        for belief in np.unique(chosen):
            rows = chosen == belief
            spread = solve(self.factors[belief], noise[rows].T, transposed=True)
            draws[rows] = self.means[belief] + self.deviations[belief] * spread.T
        return np.where(self.basis.concave, np.maximum(draws, 0), draws)[rng.permutation(count)]


def learn(basis: Basis, seen: Observations, excess: Array, trust: Mapping[float, float] = TRUST) -> Posterior:
    """The posterior of all beliefs; `excess` (L,) is each layer's unexplained redundancy, `trust` the prior of kappa.

    The noise is Student's t. Under each of its scales, the largest first, outliers are weighed down anew: under one for
    all, a run that failed passes for noise, and noise taken for so large hides the failure.
    """
    leans = np.outer(list(trust), excess)
    parts: list[Posterior] = []
    squares = np.zeros(len(seen.responses))
    for sigma in sorted(SIGMAS, reverse=True):
        grid = [Belief(tau, sigma, rho, 0.0) for tau, rho in product(TAUS, RHOS)]
        parts.append(_regression(basis, seen, sigma, squares).posterior(grid, trust, leans))
        squares = parts[-1].squares(seen)
    return Posterior.mixed(parts)


def _regression(basis: Basis, seen: Observations, sigma: float, squares: Array) -> Regression:
    """With a Gaussian in place of every trial's t: the tangent at the `squares` that the next larger scale expects."""
    scales = sigma**2 + seen.variances
    pulls, heights = tangents(squares / scales)
    bonus = heights - np.log(scales / sigma**2) / 2
    return Regression(basis, seen, pulls * sigma**2 / scales, float(bonus.sum()))


def tangents(distances: Array) -> tuple[Array, Array]:
    """Pulls w and heights h, (n,) each, with log t(x) >= h - w x / 2 for all squared distances x, equal at `distances`.

    Up to a constant log t(x) = -(v + 1) / 2 log(1 + x / v), a convex function of x, which lies above its tangents.
    """
    pulls = (FREEDOM + 1) / (FREEDOM + distances)
    return pulls, (pulls * distances - (FREEDOM + 1) * np.log1p(distances / FREEDOM)) / 2


def solve(factor: Array, right: Array, *, transposed: bool = False) -> Array:
    """X with factor @ X = right, or factor.T @ X = right, for a lower triangular `factor` (d, d)."""
    return np.asarray(dtrtrs(factor, right, lower=1, trans=int(transposed))[0])


class Regression:
    """The sums over all trials that every belief's posterior is made of; `bonus` is added to its log evidence."""

    def __init__(self, basis: Basis, seen: Observations, weights: Array, bonus: float = 0.0) -> None:
        self._basis = basis
        self._bonus = bonus
        self._count = len(seen.responses)
        weighted = seen.features.T * weights
        self._gram, self._moment = weighted @ seen.features, weighted @ seen.responses
        self._power = float(weights @ seen.responses**2)

    def posterior(self, grid: Sequence[Belief], trust: Mapping[float, float], leans: Array) -> Posterior:
        """Over the beliefs in `grid`, whose kappa is left open."""
        beliefs: list[Belief] = []
        logs, means, deviations, factors = [], [], [], []
        for belief in grid:
            centres, deviation = self._basis.prior(belief.tau, belief.sigma, belief.rho, leans)
            factor, steps, fits = self._solve(centres, deviation, belief.sigma)
            logs.append(fits + np.log(list(trust.values())))
            means.append(centres + deviation * steps)
            beliefs += [replace(belief, kappa=kappa) for kappa in trust]
            deviations += [deviation] * len(trust)
            factors += [factor] * len(trust)
        evidence = np.concatenate(logs) + self._bonus
        return Posterior(self._basis, beliefs, evidence, np.concatenate(means), np.stack(deviations), factors)

    def _solve(self, centres: Array, deviation: Array, sigma: float) -> tuple[Array, Array, Array]:
        """Factor of A (d, d), posterior means of u (K, d), log evidences (K,), for K prior means (K, d)."""
        precision = np.eye(len(deviation)) + deviation[:, None] * self._gram * deviation / sigma**2
        factor = np.asarray(dpotrf(precision.T, lower=1)[0])
        pulls = deviation * (self._moment - centres @ self._gram) / sigma**2
        half = solve(factor, pulls.T)
        steps = solve(factor, half, transposed=True).T
        misfits = self._power - 2 * centres @ self._moment + ((centres @ self._gram) * centres).sum(1)
        volume = 2 * float(np.log(np.diag(factor)).sum()) + self._count * math.log(sigma**2)
        return factor, steps, -0.5 * (volume + misfits / sigma**2 - (half**2).sum(0))
