"""The best network under the caps for each of several believed worlds at once.

SAMPLER.md, section 8. Utility is a sum over layers and neighbouring pairs, cost a quadratic of the widths: for a price
on cost each layer in turn takes its best width, the price is found by bisection, and what the price leaves over is used
up by exchanges of one grid step up for one down. Polynomial in layers; the same for chains and shared widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from phashopt.search.basis import Array, Basis, Number, bottleneck, bump
from phashopt.search.costs import Quadratic

PRICES = (1e-3, 1e3)  # nats for the whole of a cap
BISECTIONS = 10
ROUNDS = 30
RISES = (1, 2)  # grid steps at once
DROPS = (1, 2, 4)  # that they may be paid with
TOLERANCE = 1e-9
FLATTEST = 1e-6  # bend of a parabola below which its optimum is at an end

Indices = NDArray[np.int64]


class Optima(NamedTuple):
    """Grid indices of the widths (S, L) and all coordinates (S, K), at the longest length."""

    indices: Indices
    coordinates: Array


class Ascent:
    """Utilities of all grid widths in each world, from weights (S, d) drawn from a posterior."""

    def __init__(self, basis: Basis, cost: Quadratic, weights: Array) -> None:
        self._basis = basis
        self._cost = cost
        self._weights = weights
        self._worlds = np.arange(len(weights))
        layers, kinds = basis.layers, basis.bumps
        self._values = [np.array(axis.values, dtype=float) for axis in basis.widths.values()]
        self._places = [np.array([axis.fraction(value) for value in axis.values]) for axis in basis.widths.values()]
        slopes = weights[:, 1 : 1 + layers]
        bends = weights[:, 1 + layers : 1 + layers + layers * kinds].reshape(len(weights), layers, kinds)
        self._tables = [
            slopes[:, [layer]] * places + bends[:, layer] @ bump(places[:, None], kinds).T
            for layer, places in enumerate(self._places)
        ]
        start = 1 + layers + layers * kinds
        self._pairs, self._falls = (weights[:, start + at : start + at + layers - 1] for at in (0, layers - 1))
        self._first_other = start + 2 * (layers - 1) + 3

    def maximise(self) -> Optima:
        """The best feasible network of each world, with the other parameters at their best."""
        free = np.zeros(len(self._weights))
        indices = self._priced(free, self._priced(free, self._largest(), free), free)
        _, slope = self._others(indices)
        dear = ~self._feasible(indices)
        if dear.any():
            indices = np.where(dear[:, None], self._bisected(slope), indices)
        _, slope = self._others(indices)
        indices = self._exchanged(indices, slope)
        others, _ = self._others(indices)
        return Optima(indices, np.concatenate([self.coordinates(indices), free[:, None], others], 1))

    def neighbours(self, indices: Indices) -> Indices:
        """(n, L): the networks one exchange away from any of `indices`, and themselves, that keep the caps."""
        near = np.concatenate([indices[:, None], self._moves(indices, [1])], 1).reshape(-1, indices.shape[1])
        return near[self._feasible(near)]

    def coordinates(self, indices: Indices) -> Array:
        """(n, L) log-widths."""
        return np.stack([self._places[layer][column] for layer, column in enumerate(indices.T)], 1)

    def _smallest(self) -> Indices:
        return np.zeros((len(self._weights), self._basis.layers), dtype=np.int64)

    def _largest(self) -> Indices:
        return self._smallest() + np.array([len(values) - 1 for values in self._values], dtype=np.int64)

    def _widths(self, indices: Indices) -> Array:
        return np.stack([self._values[layer][column] for layer, column in enumerate(indices.T)], 1)

    def _feasible(self, indices: Indices) -> NDArray[np.bool_]:
        return np.asarray((self._cost(self._widths(indices)) <= 1 + TOLERANCE).all(1))

    def _bisected(self, slope: Array) -> Indices:
        """The best feasible network met on the way to the price at which each world's optimum just keeps the caps."""
        low, high = (np.full(len(self._weights), np.log(price)) for price in PRICES)
        best = self._smallest()
        indices = best
        most = self._utility(best[:, None], slope)[:, 0]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            indices = self._priced(np.exp(middle), indices, slope)
            feasible = self._feasible(indices)
            low, high = np.where(feasible, low, middle), np.where(feasible, middle, high)
            utility = self._utility(indices[:, None], slope)[:, 0]
            better = feasible & (utility > most)
            best, most = np.where(better[:, None], indices, best), np.where(better, utility, most)
        return best

    def _priced(self, price: Array, indices: Indices, slope: Array) -> Indices:
        """One sweep in which each layer takes its best width at a price (S,) of cost, the others as they are."""
        indices = indices.copy()
        widths = self._widths(indices)
        for layer, places in enumerate(self._places):
            gain = self._tables[layer] + (slope + self._pull(indices, layer))[:, None] * places
            gain = gain - self._bottlenecks(indices, layer)
            if price.any():
                gain = gain - price[:, None] * self._cost.along(widths, layer, self._values[layer])
            indices[:, layer] = gain.argmax(1)
            widths[:, layer] = self._values[layer][indices[:, layer]]
        return indices

    def _pull(self, indices: Indices, layer: int) -> Array:
        """(S,) what a layer's neighbours add to its slope."""
        pull = np.zeros(len(indices))
        for other, pair in ((layer - 1, layer - 1), (layer + 1, layer)):
            if 0 <= other < self._basis.layers:
                pull += self._pairs[:, pair] * (self._places[other][indices[:, other]] - 0.5)
        return pull

    def _bottlenecks(self, indices: Indices, layer: int) -> Array:
        """(S, G) what each width of a layer loses by being narrower than the one before, or making the next so."""
        loss = np.zeros((len(indices), len(self._places[layer])))
        if layer:
            before = self._places[layer - 1][indices[:, layer - 1]][:, None]
            loss += self._falls[:, [layer - 1]] * bottleneck(before, self._places[layer])
        if layer < self._basis.layers - 1:
            after = self._places[layer + 1][indices[:, layer + 1]][:, None]
            loss += self._falls[:, [layer]] * bottleneck(self._places[layer], after)
        return loss

    def _utility(self, indices: Indices, slope: Array) -> Array:
        """(S, M) from (S, M, L)."""
        places = np.stack([self._places[layer][indices[..., layer]] for layer in range(self._basis.layers)], -1)
        total = slope[:, None] * places.sum(-1)
        for layer, table in enumerate(self._tables):
            total = total + table[self._worlds[:, None], indices[..., layer]]
        centred = places - 0.5
        total = total + np.einsum("sml,sl->sm", centred[..., :-1] * centred[..., 1:], self._pairs)
        falls = np.einsum("sml,sl->sm", bottleneck(places[..., :-1], places[..., 1:]), self._falls)
        return np.asarray(total - falls)

    def _exchanged(self, indices: Indices, slope: Array) -> Indices:
        """Exchanges, and steps up where there is room, until none gains."""
        current = self._utility(indices[:, None], slope)[:, 0]
        for _ in range(ROUNDS):
            moves = self._moves(indices, DROPS)
            utility = self._utility(moves, slope)
            feasible = self._feasible(moves.reshape(-1, moves.shape[2])).reshape(utility.shape)
            utility = np.where(feasible, utility, -np.inf)
            best = utility.argmax(1)
            gained = utility[self._worlds, best] > current + TOLERANCE
            if not gained.any():
                break
            indices = np.where(gained[:, None], moves[self._worlds, best], indices)
            current = np.where(gained, utility[self._worlds, best], current)
        return indices

    def _moves(self, indices: Indices, drops: Sequence[int]) -> Indices:
        """(S, M, L): one layer a grid step or two up, perhaps another some steps down, as far as the grid goes."""
        one = np.eye(self._basis.layers, dtype=np.int64)
        other = ~np.eye(self._basis.layers, dtype=np.bool_)
        steps = [one, *((rise * one[:, None] - drop * one)[other] for rise in RISES for drop in drops)]
        last = np.array([len(values) - 1 for values in self._values])
        return np.clip(indices[:, None] + np.concatenate(steps), 0, last)

    def _others(self, indices: Indices) -> tuple[Array, Array]:
        """Each world's best place (S, K - L - 1) of every other parameter, and what they add to every layer's slope."""
        worlds = len(self._weights)
        places, slope, at = [], np.zeros(worlds), self._first_other
        mean = self.coordinates(indices).mean(1)
        for parameter in self._basis.others.values():
            if isinstance(parameter, Number):
                linear, bend, coupling = (self._weights[:, at + term] for term in range(3))
                best = np.clip((linear + coupling * mean) / np.maximum(2 * bend, FLATTEST), -1, 1)[:, None]
                slope = slope + coupling * best[:, 0] / self._basis.layers
                at += 3
            else:
                best = np.eye(parameter.width)[self._weights[:, at : at + parameter.width].argmax(1)]
                at += parameter.width
            places.append(best)
        return np.concatenate(places, 1) if places else np.zeros((worlds, 0)), slope
