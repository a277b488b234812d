"""Warm-up, stable, decay: the learning rate over a training whose length may still change while it is stable.

Warm-up has a fixed length and decay starts on an epoch boundary, so two trainings of different lengths are one and the
same until the shorter one decays: a finished training goes on from there as if it had been meant longer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WARMUP_EPOCHS = 0.5
DECAY_SHARE = 0.3
EXTENSION = 1.5  # times its length, where a training turns out to deserve more


@dataclass(frozen=True)
class Schedule:
    """`epochs` in all; the rate falls linearly to zero from `decay_start` on (Hu et al. 2024, WSD)."""

    epochs: int
    decay_start: int

    @classmethod
    def of_length(cls, epochs: int) -> Schedule:
        """The last three tenths decay, at least one epoch."""
        return cls(epochs, epochs - max(1, round(DECAY_SHARE * epochs)))

    def finish_from(self, epoch: int) -> Schedule:
        """The schedule that decays from `epoch` on, as a training whose stable phase was to end there would.

        Unchanged once decay has begun, and never longer than it was.
        """
        if epoch >= self.decay_start:
            return self
        decay = max(1, round(epoch * DECAY_SHARE / (1 - DECAY_SHARE)))
        return Schedule(min(self.epochs, epoch + decay), epoch)

    def extended_from(self, epoch: int, longest: int) -> Schedule:
        """Half as long again, `longest` at most, as if it had been meant so from the start.

        Unchanged but at the end of the stable phase: earlier it is too soon to say, later too late.
        """
        longer = min(longest, math.ceil(EXTENSION * self.epochs))
        return Schedule.of_length(longer) if epoch == self.decay_start and longer > self.epochs else self

    def factor(self, epoch: float) -> float:
        """Share of the peak rate at `epoch` (fractional, counted from 0) in [0, 1]."""
        warmup = min(1.0, epoch / WARMUP_EPOCHS)
        decay = (self.epochs - epoch) / (self.epochs - self.decay_start) if epoch > self.decay_start else 1.0
        return max(0.0, min(warmup, decay))
