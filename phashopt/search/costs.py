"""What networks cost, for thousands of them at once.

A convolution's MACs and parameters are a product of two widths, so a network's are a quadratic in all of them: it is
found exactly from a few evaluations. Any other cost is replaced by the quadratic that fits it best, to
search by; whatever is found then is moved under the cost itself, and filled up to it.
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from phashopt.search.basis import Array
from phashopt.search.space import Point, Space

EXTRA = 2  # evaluations a coefficient that an inexact cost is fitted to
EXACT = 1e-6  # of a cap


class Quadratic:
    """Costs as shares of their caps, (n, caps) from widths (n, L); feasible where all are at most 1.

    `exact` says whether they are all quadratic.
    """

    def __init__(self, space: Space) -> None:
        self._names = list(space.widths)
        self._scale = np.array([axis.values[-1] for axis in space.widths.values()], dtype=float)
        layers = len(self._names)
        self._pairs = np.array([*combinations_with_replacement(range(layers), 2)])
        sample = self._sample(space)
        widths = np.array([[point[name] for name in self._names] for point in sample], dtype=float)
        costs = np.array([[cost(point) / cap for cost, cap in space.limits.values()] for point in sample])
        known = np.isfinite(costs).all(1)  # a cost may be infinite where a network does not fit at all
        terms = self._terms(widths[known])
        weights, *_ = np.linalg.lstsq(terms, costs[known], rcond=None)
        self.exact = bool(known.all() and (np.abs(terms @ weights - costs) < EXACT).all())
        self._constant, self._linear = weights[0], weights[1 : layers + 1].T  # (caps,), (caps, L)
        self._products: Array = np.zeros((costs.shape[1], layers, layers))
        for (first, second), weight in zip(self._pairs, weights[layers + 1 :], strict=True):
            self._products[:, first, second] += weight / 2
            self._products[:, second, first] += weight / 2

    def __call__(self, widths: Array) -> Array:
        """(..., caps) from (..., L)."""
        scaled = widths / self._scale
        linear, products = self._linear.T, self._products.transpose(1, 0, 2)  # (L, caps), (L, caps, L)
        slopes = np.tensordot(scaled, products, 1)  # (..., caps, L)
        return np.asarray(self._constant + scaled @ linear + (slopes * scaled[..., None, :]).sum(-1))

    def changes(self, widths: Array, steps: Array, layers: slice = slice(None)) -> Array:
        """(caps, ..., L, G) what the shares change by if one of `widths` (..., all) grows by `steps` (..., L, G).

        The L are `layers`.
        """
        by = steps / self._scale[layers, None]
        products = self._products.transpose(1, 0, 2)[..., layers]
        slopes = self._linear[:, layers] + 2 * np.tensordot(widths / self._scale, products, 1)  # (..., caps, L)
        bends = np.diagonal(self._products, axis1=1, axis2=2)[:, layers]  # (caps, L)
        return np.stack([(slopes[..., cap, :, None] + bend[:, None] * by) * by for cap, bend in enumerate(bends)])

    def _terms(self, widths: Array) -> Array:
        scaled = widths / self._scale
        products = scaled[:, self._pairs[:, 0]] * scaled[:, self._pairs[:, 1]]
        return np.concatenate([np.ones((len(widths), 1)), scaled, products], 1)

    def _sample(self, space: Space) -> list[Point]:
        """Random networks of the space, twice as many as there are coefficients."""
        rng = np.random.default_rng(0)
        count = EXTRA * (1 + len(self._names) + len(self._pairs))
        return [
            {name: axis.values[int(rng.integers(len(axis.values)))] for name, axis in space.widths.items()}
            for _ in range(count)
        ]
