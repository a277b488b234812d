"""How likely a training is to come to nothing: most do beyond one learning rate, some below one, a few anywhere.

Exact Bayes over where these two ends lie and how soft they are (docs/search.md, section 6). What was lost tells of
everything beyond it and what survived of nothing there, so that a rate at which trainings diverge is soon left alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from phashopt.search.basis import Array

ANYWHERE = 0.02  # of trainings come to nothing wherever they lie
STEPS = np.linspace(-1, 1, 41)  # where on [-1, 1] an end may lie
SOFTNESS = (0.02, 0.15)  # of the ends, each as probable as the other


class Inside(NamedTuple):
    """The probabilities that the upper and the lower end lie inside the range, before a training was lost."""

    upper: float
    lower: float


OF_RATES = Inside(0.1, 0.02)  # trainings diverge at high rates
OF_WIDTHS = Inside(0.02, 0.02)  # where no rate is searched


class Survival:
    """The probability that a training survives at a place in [-1, 1], from the places (n,) of those known and lost.

    `lost` (n,) is 1 for those that came to nothing, else 0.
    """

    def __init__(self, places: Array, lost: Array, inside: Inside) -> None:
        prior = np.log(np.outer(_spread(inside.upper), _spread(inside.lower)))
        logs = np.array([prior + _likelihood(places, lost, softness) for softness in SOFTNESS])
        shares = np.exp(logs - logs.max())
        self._shares = shares / shares.sum()  # (softness, upper end, lower end)

    def __call__(self, places: Array) -> Array:
        """(m,) chances at `places` (m,)."""
        distinct, which = np.unique(places, return_inverse=True)  # thousands of options share a few rates
        pairs = [_below_and_above(distinct, softness) for softness in SOFTNESS]
        sums = [((below @ each) * above).sum(1) for (below, above), each in zip(pairs, self._shares, strict=True)]
        return np.asarray((1 - ANYWHERE) * np.sum(sums, axis=0)[which])


def _spread(inside: float) -> Array:
    """(E + 1,) the prior of one end: evenly over `STEPS`, and the rest where no end is met."""
    return np.append(np.full(len(STEPS), inside / len(STEPS)), 1 - inside)


def _likelihood(places: Array, lost: Array, softness: float) -> Array:
    """(E + 1, E + 1) log likelihood of each pair of ends."""
    kept, gone = places[lost == 0], places[lost == 1]
    below, above = (log.sum(0) for log in map(np.log, _below_and_above(kept, softness)))
    both = np.einsum("nu,nl->nul", *_below_and_above(gone, softness))
    return np.asarray(below[:, None] + above + np.log1p(-(1 - ANYWHERE) * both).sum(0))


def _below_and_above(places: Array, softness: float) -> tuple[Array, Array]:
    """(n, E + 1) twice: the chances to be below each upper end and above each lower one; 1 where there is none."""
    far = (places[:, None] - STEPS) / softness
    certain = np.ones((len(places), 1))
    return np.hstack([expit(-far), certain]), np.hstack([expit(far), certain])
