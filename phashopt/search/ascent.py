"""The best network under the caps for each of several believed worlds at once.

docs/search.md, 8. Utility is a sum over layers and neighbouring pairs, cost a quadratic of the widths: at a price
on cost every other layer in turn takes its best width, at many prices at once; of what keeps the caps the best is
taken, and exchanges use up what it leaves over. Polynomial in layers; the same for chains and shared widths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phashopt.search.basis import Array, Basis
from phashopt.search.costs import Quadratic
from phashopt.search.rest import Rest
from phashopt.search.utility import ALL, Indices, Utility

PRICES = np.array([0.0, *np.geomspace(1e-3, 1e3, 13)])  # nats for the whole of a cap
FINER = np.linspace(0, 1, 10)[1:-1]  # between the last price that is too low and the next
SWEEPS = 2
ROUNDS = 30
DROPS = (2, 4)  # grid steps that a layer gives up where giving up one gains nothing
TOLERANCE = 1e-9


class Optima(NamedTuple):
    """Grid indices of the widths (S, L) and all coordinates (S, K), at the longest length and from scratch."""

    indices: Indices
    coordinates: Array


class Ascent:
    """Searches the worlds of `weights` (S, d), drawn from a posterior."""

    def __init__(self, basis: Basis, cost: Quadratic, weights: Array) -> None:
        self._basis = basis
        self._cost = cost
        self._weights = weights
        self._utility = Utility.of(basis, weights)
        self._rest = Rest(basis, weights)
        self._grid = self._utility.grid

    def maximise(self) -> Optima:
        """The best feasible network of each world, with the other parameters at their best."""
        worlds = len(self._weights)
        _, slopes = self._rest.best(np.full(worlds, 0.5))
        indices = self._bought(self._utility.steeper(slopes))
        _, slopes = self._rest.best(self.coordinates(indices).mean(1))
        indices = self._exchanged(self._utility.steeper(slopes), indices)
        others, _ = self._rest.best(self.coordinates(indices).mean(1))
        longest, scratch = np.zeros((worlds, 1)), np.zeros((worlds, self._basis.starts))
        return Optima(indices, np.concatenate([self.coordinates(indices), longest, others, scratch], 1))

    def neighbours(self, indices: Indices) -> Indices:
        """(n, L): `indices`, and the networks a step up away from them, perhaps paid with one, that keep the caps."""
        layers = self._basis.layers
        one = np.eye(layers, dtype=np.int64)
        steps = np.concatenate([0 * one[:1], one, (one[:, None] - one)[~np.eye(layers, dtype=np.bool_)]])
        near = np.clip(indices[:, None] + steps, 0, self._grid.last).reshape(-1, layers)
        return np.asarray(near[self._feasible(near)])

    def coordinates(self, indices: Indices) -> Array:
        """(n, L) log-widths."""
        return self._grid.places_at(indices)

    def _feasible(self, indices: Indices) -> NDArray[np.bool_]:
        return np.asarray((self._cost(self._grid.widths_at(indices)) <= 1 + TOLERANCE).all(-1))

    def _bought(self, utility: Utility) -> Indices:
        """(S, L) the best feasible network of each world that some price on cost makes its best, else the smallest."""
        worlds = np.arange(len(self._weights))
        prices = np.tile(PRICES, (len(worlds), 1))
        coarse = self._priced(utility, np.full((*prices.shape, self._basis.layers), self._grid.last), prices)
        dear = ~self._feasible(coarse)
        last = np.where(dear, np.arange(dear.shape[1]), 0).max(1).clip(max=dear.shape[1] - 2)
        between = PRICES[last, None] * (1 - FINER) + PRICES[last + 1, None] * FINER
        fine = self._priced(utility, np.repeat(coarse[worlds, last][:, None], len(FINER), axis=1), between)
        found = np.concatenate([coarse, fine, np.zeros_like(coarse[:, :1])], 1)
        return np.asarray(found[worlds, np.where(self._feasible(found), utility(found), -np.inf).argmax(1)])

    def _priced(self, utility: Utility, indices: Indices, prices: Array) -> Indices:
        """Sweeps over (S, P, L) in which every other layer takes its best width at the prices (S, P) of cost."""
        for first in (0, 1) * SWEEPS:
            layers = slice(first, None, 2)
            changes = self._cost_changes(indices, layers).sum(0)
            worth = utility.along(indices, layers) - prices[..., None, None] * changes
            indices = indices.copy()
            indices[..., layers] = worth.argmax(-1)
        return indices

    def _exchanged(self, utility: Utility, indices: Indices) -> Indices:
        """One layer narrower, or none, for another as much wider as pays most, until no world gains by it.

        By one step while that gains, since most worlds need no more.
        """
        indices, one = indices.copy(), np.eye(self._basis.layers, dtype=np.int64)
        for drops in (np.concatenate([0 * one[:1], one]), np.concatenate([drop * one for drop in DROPS])):
            active, left = np.arange(len(indices)), utility
            for _ in range(ROUNDS):
                best, gained = self._exchange(left, indices[active], drops)
                if not gained.any():
                    break
                active, left = active[gained], left.some(gained)
                indices[active] = best[gained]
        return indices

    def _exchange(self, utility: Utility, indices: Indices, drops: Indices) -> tuple[Indices, NDArray[np.bool_]]:
        """The best single exchange in each world (S, L), and whether (S,) it gains anything; `drops` are (M, L)."""
        lower = np.maximum(indices[:, None] - drops, 0)  # (S, M, L)
        worth = utility.along(lower)
        worth += (utility(lower)[..., None] - np.take_along_axis(worth, lower[..., None], -1)[..., 0])[..., None]
        shares = np.moveaxis(self._cost(self._grid.widths_at(lower)), -1, 0)[..., None, None]
        worth[(shares + self._cost_changes(lower) > 1 + TOLERANCE).any(0)] = -np.inf
        worlds = np.arange(len(indices))
        way, layer, width = np.unravel_index(worth.reshape(len(worlds), -1).argmax(1), worth.shape[1:])
        best = lower[worlds, way]
        best[worlds, layer] = width
        return best, worth[worlds, way, layer, width] > utility(indices[:, None])[:, 0] + TOLERANCE

    def _cost_changes(self, indices: Indices, layers: slice = ALL) -> Array:
        """(caps, ..., L, G) what each width of each of `layers` changes the shares of the caps by."""
        widths = self._grid.widths_at(indices)
        return self._cost.changes(widths, self._grid.widths[layers] - widths[..., layers, None], layers)
