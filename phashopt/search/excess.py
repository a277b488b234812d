"""What a reading says beyond what the parameters explain: the residual of a regression over the study's own trials.

docs/search.md, 3 and 4: redundancy depends on a layer's width, its neighbour's, the rate and the length, and only
what is left over can say more of a layer than these do.
"""

from __future__ import annotations

import numpy as np

from phashopt.search.basis import Array

RIDGE = 1.0
LEAST_SPREAD = 1e-3  # of a share of kernels
SHRINKAGE = 2  # trials that a layer's mean is pulled to zero by


def residuals(values: Array, design: Array) -> Array:
    """(n,) residuals of `values` (n,) on `design` (n, k), in robust standard deviations; 0 where a value is NaN.

    Fewer known values than columns explain nothing: all residuals are 0.
    """
    known = np.isfinite(values)
    result = np.zeros(len(values))
    if known.sum() <= design.shape[1]:
        return result
    x = np.concatenate([np.ones((int(known.sum()), 1)), design[known]], 1)
    y = values[known]
    penalty = RIDGE * np.eye(x.shape[1])
    penalty[0, 0] = 0
    left = y - x @ np.linalg.solve(x.T @ x + penalty, x.T @ y)
    left -= np.median(left)
    spread = 1.4826 * float(np.median(np.abs(left)))
    if spread > LEAST_SPREAD:
        result[known] = np.clip(left / spread, -3, 3)
    return result


def layer_excess(covariates: Array, coordinates: Array) -> Array:
    """(L,) mean unexplained redundancy of each layer, in standard deviations, from covariates (n, L).

    `coordinates` (n, K) have the layers' log-widths first. Layers are compared with one another: a layer that is
    fuller of copies than its width, its neighbour's and the training make the layers of this study on average.
    """
    count, layers = covariates.shape
    if not count:
        return np.zeros(layers)
    widths, training = coordinates[:, :layers], coordinates[:, layers:]
    before = np.concatenate([np.full((count, 1), 0.5), widths[:, :-1]], 1)
    designs = [
        np.concatenate([widths[:, [layer]], widths[:, [layer]] ** 2, before[:, [layer]], training], 1)
        for layer in range(layers)
    ]
    left = residuals(covariates.T.ravel(), np.concatenate(designs)).reshape(layers, count)
    known = np.isfinite(covariates.T)
    return np.asarray(np.where(known, left, 0).sum(1) / (known.sum(1) + SHRINKAGE))


def luck(readings: Array, coordinates: Array) -> Array:
    """(n, 4) what dead share and duplicates of the last two layers say of a run's luck, from their values (n, 4)."""
    return np.stack([residuals(values, coordinates) for values in readings.T], 1)
