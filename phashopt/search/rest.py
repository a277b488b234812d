"""The best of every parameter that is neither width nor length, in each of several believed worlds at once.

docs/search.md, 8. Numbers have an optimum of their own each; a category moves that of the learning rate, so that the
rate and all categories are chosen together, over a grid of rates and then exactly.
"""

from __future__ import annotations

import numpy as np

from phashopt.search.basis import Array, Basis, top
from phashopt.search.others import Category
from phashopt.search.space import RATE

RATES = np.linspace(-1, 1, 17)  # places in [-1, 1]


class Rest:
    """Searches the worlds of `weights` (S, d)."""

    def __init__(self, basis: Basis, weights: Array) -> None:
        self._basis = basis
        self._weights = weights

    def best(self, means: Array) -> tuple[Array, Array]:
        """Places (S, K - L - 1) in [-1, 1], and what these add to every layer's slope (S,), in nats.

        Of a category's places the chosen one is 1, the others 0. `means` (S,) is the mean log-width in [0, 1].
        """
        categories = self._categories(means)
        places, slopes = [], np.zeros(len(means))
        for name, parameter in self._basis.others.items():
            if isinstance(parameter, Category):
                places.append(categories[name])
                continue
            linear, bend, coupling = self._of(name).T
            tilt = self._tilt(categories) if name == RATE else 0.0
            given = self._given(name)
            at = top(linear + coupling * means + tilt, bend) if given is None else np.repeat(given[0], len(means))
            slopes = slopes + coupling * at / self._basis.layers
            places.append(at[:, None])
        return np.concatenate([np.zeros((len(means), 0)), *places], 1), slopes

    def _categories(self, means: Array) -> dict[str, Array]:
        """(S, size) of each, one for its value and zeros for the others."""
        rates = self._rates()
        promise = self._of_rates(means, rates)
        worth = {name: self._of_values(name, each, rates) for name, each in self._categorical.items()}
        at = sum((each.max(-1) for each in worth.values()), promise).argmax(1)
        worlds = np.arange(len(means))
        return {name: np.eye(each.shape[-1])[each[worlds, at].argmax(-1)] for name, each in worth.items()}

    @property
    def _categorical(self) -> dict[str, Category]:
        return {name: each for name, each in self._basis.others.items() if isinstance(each, Category)}

    def _rates(self) -> Array:
        """(P,) the places of the learning rate among which categories are chosen: one where it is given, or none is."""
        if not self._basis.rate:
            return np.zeros(1)
        given = self._given(RATE)
        return RATES if given is None else given

    def _of_rates(self, means: Array, rates: Array) -> Array:
        """(S, P) what the rates are worth by themselves."""
        if not self._basis.rate:
            return np.zeros((len(means), 1))
        linear, bend, coupling = self._of(RATE).T
        return np.asarray((linear + coupling * means)[:, None] * rates - bend[:, None] * rates**2)

    def _of_values(self, name: str, parameter: Category, rates: Array) -> Array:
        """(S, P, size) what each value of a category is worth at each of the rates; only the given one if one is."""
        levels, tilts = self._halves(name, parameter.size)
        given = self._given(name)
        allowed = np.zeros(parameter.size) if given is None else np.where(given > 0, 0.0, -np.inf)
        return np.asarray(levels[:, None] + rates[:, None] * tilts[:, None] + allowed)

    def _tilt(self, categories: dict[str, Array]) -> Array:
        """(S,) what the chosen values add to the slope of the learning rate."""
        parts = [(self._halves(name, each.shape[1])[1] * each).sum(1) for name, each in categories.items()]
        return np.asarray(sum(parts, np.zeros(len(self._weights))))

    def _halves(self, name: str, size: int) -> tuple[Array, Array]:
        """(S, size) twice, of a category: its values' levels, and what they add to the slope of the rate."""
        weights = self._of(name)
        return weights[:, :size], weights[:, size:] if self._basis.rate else np.zeros_like(weights)

    def _of(self, name: str) -> Array:
        return self._weights[:, self._basis.effects[name]]

    def _given(self, name: str) -> Array | None:
        """(size,) the places of a parameter that is searched no more."""
        settled = self._basis.settled
        return self._basis.others[name].encode([settled[name]])[0] if name in settled else None
