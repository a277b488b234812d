"""What a study may take, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass

from phashopt.search.history import Past
from phashopt.search.space import Space

UNKNOWN_SHARE = 0.5


@dataclass(frozen=True)
class Left:
    """The `share` in [0, 1] of a study still to come, and the epochs to `spare` for going on with a single training."""

    share: float
    spare: float = 0.0


@dataclass(frozen=True)
class Budget:
    """The number of `trials`, and the MACs that they may `compute`, whichever ends first; None where nobody said."""

    trials: int | None
    compute: float | None

    def left(self, past: Past, space: Space) -> Left:
        """At the moment of `past`; with no budget a study is always half over."""
        return Left(self._share(past), self._spare(past, space))

    def _share(self, past: Past) -> float:
        own = sum(not record.adopted for record in past.records) + len(past.stopped) + len(past.pending)
        used = [so_far / budget for so_far, budget in ((own, self.trials), (past.compute, self.compute)) if budget]
        return max(0.0, 1 - max(used)) if used else UNKNOWN_SHARE

    def _spare(self, past: Past, space: Space) -> float:
        """Were every trial a longest one, and no more than the compute buys at the price of those before.

        docs/search.md, 7: trials that were short pay for those that are long. With no budget as many as were trained.
        """
        whole = []
        if self.trials and space.length:
            whole.append(float(self.trials * space.length.values[-1]))
        if self.compute and past.compute:
            whole.append(past.epochs * self.compute / past.compute)
        return (min(whole) if whole else 2 * past.epochs) - past.epochs - past.planned
