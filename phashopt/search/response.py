"""What the model predicts: nats of error, in which 0.1 more is 10% fewer errors at any level."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike

from phashopt.search.basis import Array
from phashopt.search.curve import FLOOR

UNIT = 0.2  # nats that a robust standard deviation counts for, where values are neither shares nor losses
FARTHEST = 50.0  # of these from the middle that are told apart


class Scale(Enum):
    """How a study's values become nats."""

    ACCURACY = "accuracy"  # shares in [0, 1], to maximise
    LOSS = "loss"  # at least 0, to minimise
    OTHER = "other"


class Response:
    """Made from the scores (more is better: a loss is negative) of a study's complete trials, infinite ones apart.

    `sign` is -1 where values are minimised, else 1.
    """

    def __init__(self, scores: Sequence[float], sign: int = 1) -> None:
        known = np.array(scores, dtype=float)
        known = known[np.isfinite(known)]
        self.sign = sign
        self.scale = _scale(known, sign)
        above = -known[known < 0]
        self._none = float(above.min()) / 2 if len(above) else FLOOR  # what no loss at all counts as
        self._middle = float(np.median(known)) if len(known) else 0.0
        self._spread = _spread(known - self._middle) or 1.0

    def nats(self, scores: ArrayLike) -> Array:
        """From scores to nats, of any shape."""
        scores = np.asarray(scores, dtype=float)
        match self.scale:
            case Scale.ACCURACY:
                return np.asarray(-np.log(1 - scores + FLOOR))
            case Scale.LOSS:
                return np.asarray(-np.log(np.maximum(-scores, self._none)))
            case Scale.OTHER:
                with np.errstate(over="ignore"):
                    away = (scores - self._middle) / self._spread
                return np.asarray(UNIT * np.clip(away, -FARTHEST, FARTHEST))

    def score(self, nats: ArrayLike) -> Array:
        """From nats back to scores, of any shape."""
        nats = np.asarray(nats, dtype=float)
        match self.scale:
            case Scale.ACCURACY:
                return np.asarray(np.maximum(0.0, 1 + FLOOR - np.exp(-nats)))
            case Scale.LOSS:
                return np.asarray(-np.exp(-nats))
            case Scale.OTHER:
                return np.asarray(self._middle + nats / UNIT * self._spread)

    def value(self, nats: ArrayLike) -> Array:
        """From nats to values as they are told to Optuna, of any shape."""
        return self.sign * self.score(nats)


def _scale(scores: Array, sign: int) -> Scale:
    """Until there are any, what is maximised is taken for an accuracy, what is minimised for a loss."""
    losses = bool((scores <= 0).all())
    if ((scores >= 0) & (scores <= 1)).all() and not (sign < 0 and losses):
        return Scale.ACCURACY
    return Scale.LOSS if losses else Scale.OTHER


def _spread(left: Array) -> float:
    """A robust standard deviation, the plain one where most values are the same; 0 where all are."""
    return (1.4826 * float(np.median(np.abs(left))) or float(left.std())) if len(left) else 0.0
