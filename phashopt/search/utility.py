"""What networks are worth in each of several believed worlds, for all widths of every layer at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phashopt.search.basis import Array, Basis, bottleneck, bump

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """All layers' widths and their places in [0, 1], (L, G) each; shorter axes are filled up with their last value."""

    widths: Array
    places: Array
    last: Indices  # (L,) of each axis

    @classmethod
    def of(cls, basis: Basis) -> Grid:
        """The basis's width axes."""
        axes = list(basis.widths.values())
        last = np.array([len(axis.values) - 1 for axis in axes])
        up_to = [(0, int(last.max() - each)) for each in last]
        widths = [
            np.pad(np.array(axis.values, dtype=float), by, mode="edge") for axis, by in zip(axes, up_to, strict=True)
        ]
        places = [np.pad(axis.fractions(axis.values), by, mode="edge") for axis, by in zip(axes, up_to, strict=True)]
        return cls(np.stack(widths), np.stack(places), last)

    def widths_at(self, indices: Indices) -> Array:
        """(..., L) from grid indices (..., L)."""
        return np.asarray(self.widths[np.arange(len(self.last)), indices])

    def places_at(self, indices: Indices) -> Array:
        """(..., L) from grid indices (..., L)."""
        return np.asarray(self.places[np.arange(len(self.last)), indices])


@dataclass(frozen=True)
class Utility:
    """The part of a prediction that depends on the widths, in S worlds: layers add up, neighbours interact."""

    grid: Grid
    layers: Array  # (S, L, G); minus infinity beyond a layer's axis
    pairs: Array  # (S, L - 1)
    falls: Array  # (S, L - 1)

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
        return cls(grid, layers, pairs, falls + fall)

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
        joint = (before - 0.5) * (after - 0.5) * self.pairs[:, None] - bottleneck(before, after) * self.falls[:, None]
        return np.asarray(self.layers[worlds, layers, indices].sum(-1) + joint.sum(-1))

    def along(self, indices: Indices) -> Array:
        """(S, M, L, G) what each width of each layer is worth, up to a constant, if the others are `indices`."""
        places, all_places = self.grid.places_at(indices), self.grid.places
        pull = np.zeros_like(places)
        pull[..., 1:] = self.pairs[:, None] * (places[..., :-1] - 0.5)
        pull[..., :-1] += self.pairs[:, None] * (places[..., 1:] - 0.5)
        worth = self.layers[:, None] + pull[..., None] * all_places
        falls = self.falls[:, None, :, None]
        worth[..., 1:, :] -= falls * bottleneck(places[..., :-1, None], all_places[1:])
        worth[..., :-1, :] -= falls * bottleneck(all_places[:-1], places[..., 1:, None])
        return np.asarray(worth)
