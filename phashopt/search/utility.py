"""What networks are worth in each of several believed worlds, for all widths of every layer at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phashopt.search.basis import Array, Basis, bottleneck, bump
from phashopt.search.space import Axis

Indices = NDArray[np.int64]
ALL = slice(None)
MOST = 96  # widths of a layer that are told apart: no further than a twentieth, from 8 to 512


@dataclass(frozen=True)
class Grid:
    """All layers' widths and their places in [0, 1], (L, G) each; shorter axes are filled up with their last value.

    Of an axis of thousands a few dozen stand for all: searching takes as long as there are widths to choose from.
    """

    widths: Array
    places: Array
    last: Indices  # (L,) of each axis

    @classmethod
    def of(cls, basis: Basis) -> Grid:
        """The basis's width axes."""
        values = [_thinned(axis) for axis in basis.widths.values()]
        last = np.array([len(each) - 1 for each in values])
        rows = [np.pad(each, (0, int(last.max() + 1 - len(each))), mode="edge") for each in values]
        places = [axis.fractions(row.tolist()) for axis, row in zip(basis.widths.values(), rows, strict=True)]
        return cls(np.stack(rows).astype(float), np.stack(places), last)

    def widths_at(self, indices: Indices) -> Array:
        """(..., L) from grid indices (..., L)."""
        return np.asarray(self.widths[np.arange(len(self.last)), indices])

    def places_at(self, indices: Indices) -> Array:
        """(..., L) from grid indices (..., L)."""
        return np.asarray(self.places[np.arange(len(self.last)), indices])


def _thinned(axis: Axis) -> Indices:
    """Its values, or `MOST` of them about as far from one another, both ends among them."""
    if len(axis.values) <= MOST:
        return np.array(axis.values)
    low, high = axis.values[0], axis.values[-1]
    return np.array(sorted({axis.nearest(value) for value in np.geomspace(low, high, MOST).tolist()}))


@dataclass(frozen=True)
class Utility:
    """The part of a prediction that depends on the widths, in S worlds: layers add up, neighbours interact."""

    grid: Grid
    layers: Array  # (S, L, G); minus infinity beyond a layer's axis
    pairs: Array  # (S, L + 1), of each layer with the one before it: 0 at both ends
    falls: Array  # (S, L + 1)

    @classmethod
    def of(cls, basis: Basis, weights: Array) -> Utility:
        """From weights (S, d) drawn from a posterior."""
        grid = Grid.of(basis)
        slopes, bends, pairs, falls, fall = (
            weights[:, basis.parts[kind]] for kind in ("slopes", "bends", "pairs", "falls", "fall")
        )
        bumps = bump(grid.places[..., None], basis.bumps)  # (L, G, bumps)
        bent = bumps @ bends.reshape(-1, basis.layers, basis.bumps, 1)
        layers = slopes[..., None] * grid.places + bent[..., 0]
        layers[:, np.arange(layers.shape[2]) > grid.last[:, None]] = -np.inf
        ends = [(0, 0), (1, 1)]
        return cls(grid, layers, np.pad(pairs, ends), np.pad(falls + fall, ends))

    def steeper(self, slopes: Array) -> Utility:
        """Every place of every layer worth `slopes` (S,) more."""
        return replace(self, layers=self.layers + slopes[:, None, None] * self.grid.places)

    def some(self, worlds: NDArray[np.bool_]) -> Utility:
        """Of these worlds only."""
        return replace(self, layers=self.layers[worlds], pairs=self.pairs[worlds], falls=self.falls[worlds])

    def __call__(self, indices: Indices) -> Array:
        """(S, M) from (S, M, L)."""
        places = self.grid.places_at(indices)
        worlds, layers = np.arange(len(indices))[:, None, None], np.arange(indices.shape[2])
        before, after = places[..., :-1], places[..., 1:]
        pairs, falls = self.pairs[:, None, 1:-1], self.falls[:, None, 1:-1]
        joint = (before - 0.5) * (after - 0.5) * pairs - bottleneck(before, after) * falls
        return np.asarray(self.layers[worlds, layers, indices].sum(-1) + joint.sum(-1))

    def along(self, indices: Indices, layers: slice = ALL) -> Array:
        """(S, M, L, G) what each width of each of `layers` is worth, up to a constant, if the others are `indices`."""
        places = np.zeros((*indices.shape[:-1], indices.shape[-1] + 2))
        places[..., 1:-1] = self.grid.places_at(indices)
        before, after = places[..., :-2][..., layers], places[..., 2:][..., layers]
        pull = self.pairs[:, None, :-1][..., layers] * (before - 0.5)
        pull += self.pairs[:, None, 1:][..., layers] * (after - 0.5)
        own = self.grid.places[layers]
        worth = pull[..., None] * own
        worth += self.layers[:, None, layers]
        worth -= self.falls[:, None, :-1, None][:, :, layers] * bottleneck(before[..., None], own)
        worth -= self.falls[:, None, 1:, None][:, :, layers] * bottleneck(own, after[..., None])
        return worth
