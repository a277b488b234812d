"""What the finished trials say of the model's weights: linear regression whose prior is averaged by evidence.

docs/search.md, section 2. With weights theta = m + S u, u ~ N(0, I), each belief has the closed-form posterior
u ~ N(A^-1 b, A^-1), A = I + S F'WF S / sigma^2, b = S F'W(z - Fm) / sigma^2, and, for trial weights W that are given, a
closed-form evidence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from scipy.linalg.lapack import dposv, dtrtrs  # scipy's own name takes longer to check its input than to compute

from phashopt.search.basis import Array, Basis

TAUS = (0.25, 0.5, 1.0, 2.0)
SIGMAS = (0.02, 0.05, 0.1, 0.2)
OF_ANSWERS = (*SIGMAS, 0.5)  # where rates over decades are searched, networks end further apart than a search expects
GAMMAS = (0.0, 1.0)
TRUST: Mapping[float, float] = {
    0.0: 0.5,
    -1.0: 0.125,
    -0.5: 0.125,
    0.5: 0.125,
    1.0: 0.125,
}  # kappa -> prior probability
LUCKS: Mapping[float, float] = {0.0: 0.5, 0.5: 0.5}  # share of sigma that a reading of luck moves -> prior probability
FREEDOM = 4  # of the t distribution of the noise: a run that failed in silence is no proof against its network


@dataclass(frozen=True)
class Belief:
    """One set of the numbers behind the prior; the model averages over a grid of them.

    `tau` is the total log-error between narrowest and widest network, `sigma` the noise of a trial, `gamma` the
    strength of interactions, `luck` the share of `sigma` that readings of a run's luck move, `kappa` how much a layer's
    redundancy beyond what its width explains lowers its slope.
    """

    tau: float
    sigma: float
    gamma: float
    luck: float
    kappa: float

    @property
    def silent(self) -> bool:
        """Whether no reading says anything."""
        return self.kappa == 0 and self.luck == 0


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
    factors: list[Array]  # (d, d) Cholesky factors of A, in the lower triangles

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

    @cached_property
    def silent(self) -> Posterior:
        """What would be believed had no layer been read."""
        kept = [place for place, belief in enumerate(self.beliefs) if belief.silent]
        beliefs, factors = [self.beliefs[place] for place in kept], [self.factors[place] for place in kept]
        return Posterior(self.basis, beliefs, self.logs[kept], self.means[kept], self.deviations[kept], factors)

    @property
    def mean(self) -> Array:
        """(d,)."""
        return self.probabilities @ self.means

    @cached_property
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
        likeliest = int(self.logs.argmax())
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

    def noise(self, count: int, rng: np.random.Generator) -> Array:
        """(count,) nats by which single trainings miss what is expected of them."""
        sigmas = [belief.sigma for belief in self.beliefs]
        return rng.choice(sigmas, count, p=self.probabilities) * rng.standard_t(FREEDOM, count)


def learn(basis: Basis, seen: Observations, excess: Array, sigmas: Sequence[float] = SIGMAS) -> Posterior:
    """The posterior of all beliefs, with these `sigmas`; `excess` (L,) is each layer's unexplained redundancy.

    The noise is Student's t. Under each of its scales, the largest first, outliers are weighed down anew: under one for
    all, a run that failed passes for noise, and noise taken for so large hides the failure. Each scale's evidence is a
    lower bound, looser the smaller it is: a short search rather takes noise for large. Which runs are outliers no
    reading decides, so that beliefs in which readings say nothing are the same whether there are any or not.
    """
    read = bool(seen.features[:, basis.parts["luck"]].any())
    lucks = LUCKS if read else {0.0: 1.0}
    parts: list[Posterior] = []
    squares = np.zeros(len(seen.responses))
    for sigma in (max(sigmas), *sorted(sigmas, reverse=True)):
        grid = {Belief(tau, sigma, gamma, luck, 0.0): lucks[luck] for tau, gamma, luck in product(TAUS, GAMMAS, lucks)}
        parts.append(_regression(basis, seen, sigma, squares).posterior(grid, excess))
        squares = parts[-1].silent.squares(seen)
    return Posterior.mixed(parts[1:])  # the first knew of no outliers yet


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

    def posterior(self, grid: Mapping[Belief, float], excess: Array) -> Posterior:
        """Over the B beliefs in `grid`, all of one sigma, with their prior probabilities.

        Each stands for all J of `TRUST` in place of its kappa.
        """
        (sigma,) = {belief.sigma for belief in grid}
        tau, gamma, luck = np.array([(belief.tau, belief.gamma, belief.luck * sigma) for belief in grid]).T
        centres, deviations = self._basis.prior(tau, gamma, luck, np.outer(list(TRUST), excess))  # (B, J, d), (B, d)
        factors, u, fits = self._solve(centres, deviations, sigma)
        means = centres + deviations[:, None] * u
        odds = np.add.outer(np.log(list(grid.values())), np.log(list(TRUST.values())))
        return Posterior(
            self._basis,
            _with_kappas(tuple(grid)),
            (fits + odds).ravel() + self._bonus,
            means.reshape(-1, means.shape[-1]),
            np.repeat(deviations, len(TRUST), axis=0),
            [factor for factor in factors for _ in TRUST],
        )

    def _solve(self, centres: Array, deviations: Array, sigma: float) -> tuple[Array, Array, Array]:
        """Factors of A (B, d, d), posterior means of u (B, J, d), log evidences (B, J)."""
        scaled = deviations / sigma
        precisions = self._gram * scaled[:, :, None] * scaled[:, None] + np.eye(deviations.shape[1])
        shown = centres @ self._gram
        b = deviations[:, None] * (self._moment - shown) / sigma**2
        solved = [dposv(*each, lower=1) for each in zip(precisions, b.swapaxes(1, 2), strict=True)]
        factors, u = np.stack([each[0] for each in solved]), np.stack([each[1].T for each in solved])
        misfits = self._power - 2 * centres @ self._moment + (shown * centres).sum(-1)
        volumes = 2 * np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(-1) + self._count * math.log(sigma**2)
        fits = -0.5 * (volumes[:, None] + misfits / sigma**2 - (b * u).sum(-1))
        return np.asarray(factors), np.asarray(u), np.asarray(fits)


@lru_cache
def _with_kappas(beliefs: tuple[Belief, ...]) -> list[Belief]:
    return [replace(belief, kappa=kappa) for belief in beliefs for kappa in TRUST]
