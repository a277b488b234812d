"""How likely a training is to come to nothing: most do beyond one learning rate, some below one, a few anywhere.

Other numbers have such ends as well: under a decay of 1 no rate learns anything. Bayes over where the two ends of each
lie and how soft they are (docs/search.md, section 6), exact for one number, in turn for several: whatever the others
leave unexplained. What was lost tells of everything beyond it and what survived of nothing there, so that a rate at
which trainings diverge is soon left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from phashopt.search.basis import Array

ANYWHERE = 0.02  # of trainings come to nothing wherever they lie
STEPS = np.linspace(-1, 1, 41)  # where on [-1, 1] an end may lie
SOFTNESS = (0.02, 0.15)  # of the ends, each as probable as the other
TURNS = 3  # until several numbers agree on which of them explains what


class Inside(NamedTuple):
    """The probabilities that the upper and the lower end lie inside the range, before a training was lost."""

    upper: float
    lower: float


OF_RATES = Inside(0.1, 0.02)  # trainings diverge at high rates
OF_WIDTHS = Inside(0.02, 0.02)  # where no rate is searched
OF_OTHERS = Inside(0.02, 0.02)


class Survival:
    """The probability that a training survives, from the places (n, k) in [-1, 1] of those known and lost.

    `lost` (n,) is 1 for those that came to nothing, else 0; `insides` (k,) say how soon each number is suspected.
    """

    def __init__(self, places: Array, lost: Array, insides: Sequence[Inside]) -> None:
        self._ends = [Ends(inside) for inside in insides]
        inside = np.clip(places, -1, 1)  # a range may have been wider
        steps = np.rint((inside + 1) / 2 * (len(STEPS) - 1)).astype(int)  # those in one step count as one, n times
        chances = np.ones(places.shape)
        for _ in range(TURNS if len(insides) > 1 else 1):
            for place, ends in enumerate(self._ends):
                otherwise = (1 - ANYWHERE) * np.delete(chances, place, axis=1).prod(1)
                ends.learn(steps[:, place], lost, otherwise)
                chances[:, place] = ends(STEPS)[steps[:, place]]

    def __call__(self, places: Array) -> Array:
        """(m,) chances at `places` (m, k)."""
        return np.asarray(
            (1 - ANYWHERE) * np.prod([each(at) for each, at in zip(self._ends, places.T, strict=True)], 0)
        )


class Ends:
    """Between which places of one number trainings survive."""

    def __init__(self, inside: Inside) -> None:
        self._prior = np.log(np.outer(_spread(inside.upper), _spread(inside.lower)))
        self._shares = np.stack([np.exp(self._prior) / len(SOFTNESS)] * len(SOFTNESS))  # softness, upper end, lower end

    def learn(self, steps: NDArray[np.intp], lost: Array, otherwise: Array) -> None:
        """From trainings (n,) that would survive with the chances `otherwise` (n,) but for this number."""
        kept, counts, sums = (_by_step(steps, weights) for weights in (1 - lost, lost, lost * otherwise))
        chances = np.divide(sums, counts, out=np.zeros(len(STEPS)), where=counts > 0)
        logs = np.array([self._prior + _likelihood(kept, counts, chances, softness) for softness in SOFTNESS])
        shares = np.exp(logs - logs.max())
        self._shares = shares / shares.sum()

    def __call__(self, places: Array) -> Array:
        """(m,) the chances that places (m,) lie between them."""
        distinct, which = np.unique(places, return_inverse=True)  # thousands of options share a few rates
        pairs = [_below_and_above(distinct, softness) for softness in SOFTNESS]
        sums = [((below @ each) * above).sum(1) for (below, above), each in zip(pairs, self._shares, strict=True)]
        return np.asarray(np.sum(sums, axis=0)[which])


def _spread(inside: float) -> Array:
    """(E + 1,) the prior of one end: evenly over `STEPS`, and the rest where no end is met."""
    return np.append(np.full(len(STEPS), inside / len(STEPS)), 1 - inside)


def _by_step(steps: NDArray[np.intp], weights: Array) -> Array:
    """(E,) the sums of `weights` (n,)."""
    return np.bincount(steps, weights, len(STEPS)).astype(float)


def _likelihood(kept: Array, lost: Array, otherwise: Array, softness: float) -> Array:
    """(E + 1, E + 1) log likelihood of each pair of ends, from how many were `kept` and `lost` at each of `STEPS`."""
    below, above = _below_and_above(STEPS, softness)
    there = lost > 0
    both = (otherwise[there, None] * below[there])[:, :, None] * above[there, None]
    return np.asarray(
        (kept @ np.log(below))[:, None] + kept @ np.log(above) + lost[there] @ np.log1p(-both).swapaxes(0, 1)
    )


def _below_and_above(places: Array, softness: float) -> tuple[Array, Array]:
    """(n, E + 1) twice: the chances to be below each upper end and above each lower one; 1 where there is none."""
    far = (places[:, None] - STEPS) / softness
    certain = np.ones((len(places), 1))
    return np.hstack([expit(-far), certain]), np.hstack([expit(far), certain])
