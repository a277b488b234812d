"""How likely a training is to come to nothing, from those that did: a logistic regression with a cautious prior.

A straight line in the rate is too stiff where rates diverge from one value on, so those nearby are counted too.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from phashopt.search.basis import Array

USUAL = -4.0  # log odds before anything has diverged: about one in fifty
PRECISION = 1e-6
STEEPER = 3.0  # log odds from the middle of the rates to either end: trainings diverge at high rates
NEAR = 0.2  # in [-1, 1]: rates of which one tells of the other
REGRESSED = 2.0  # trainings that the regression counts for beside those at much the same rate
SPREAD = np.array([1.0, 1.5, 1.0])  # of the weights of 1, rate and mean width


def divergence_features(coordinates: Array, layers: int, rate: slice | None) -> Array:
    """(n, 3): one, the rate's place in [-1, 1] (0 where it is not searched), the mean log-width."""
    places = coordinates[:, rate][:, 0] if rate else np.zeros(len(coordinates))
    return np.stack([np.ones(len(coordinates)), places, coordinates[:, :layers].mean(1) - 0.5], 1)


def divergence_weights(features: Array, diverged: Array) -> Array:
    """(3,) posterior mode of the weights; `diverged` (n,) is 1 for a training that came to nothing, else 0.

    As soon as one has, lower rates are thought to be safer: else losses all at one rate would say nothing of others.
    Newton's method, each step halved until it helps: the loss is convex.
    """
    centre = np.array([USUAL, STEEPER if diverged.any() else 0.0, 0.0])

    def loss(weights: Array) -> float:
        odds, distance = features @ weights, (weights - centre) / SPREAD
        return float(np.logaddexp(0, odds).sum() - odds @ diverged + 0.5 * distance @ distance)

    weights, step = centre, np.full(3, np.inf)
    while np.abs(step).max() > PRECISION:
        odds = expit(features @ weights)
        gradient = features.T @ (odds - diverged) + (weights - centre) / SPREAD**2
        curvature = (features.T * (odds * (1 - odds))) @ features + np.diag(1 / SPREAD**2)
        step = np.linalg.solve(curvature, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > PRECISION:
            step = step / 2
        weights = weights - step
    return np.asarray(weights)


def survival(features: Array, weights: Array) -> Array:
    """(n,) the probability that a training comes to an end."""
    return 1 - expit(features @ weights)


def corrected(regressed: Array, features: Array, known: Array, lost: Array) -> Array:
    """(n,) survival: `regressed` (n,) at `features` (n, 3), corrected by `known` (m, 3) trainings at a similar rate.

    `lost` (m,) is 1 for those that came to nothing, else 0.
    """
    near = np.exp(-0.5 * ((features[:, 1, None] - known[:, 1]) / NEAR) ** 2)
    return np.asarray((REGRESSED * regressed + near @ (1 - lost)) / (REGRESSED + near.sum(1)))
