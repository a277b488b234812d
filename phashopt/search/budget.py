"""What a study may take, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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
    """The number of `trials`, the MACs that they may `compute`, and the `deadline` (local time, naive) after which none
    begins, whichever ends first; None where nobody said.
    """

    trials: int | None
    compute: float | None
    deadline: datetime | None = None

    def left(self, past: Past, space: Space) -> Left:
        """At the moment of `past`; with no budget a study is always half over."""
        return Left(self._share(past), self._spare(past, space))

    def _share(self, past: Past) -> float:
        own = sum(not record.adopted for record in past.records) + len(past.stopped) + len(past.pending)
        used = [so_far / budget for so_far, budget in ((own, self.trials), (past.compute, self.compute)) if budget]
        if self.deadline:
            used.append(self._passed(self.deadline, past))
        return max(0.0, 1 - max(used)) if used else UNKNOWN_SHARE

    def _spare(self, past: Past, space: Space) -> float:
        """Were every trial a longest one, and no more than compute and time buy at the price of those before.

        docs/search.md, 7: trials that were short pay for those that are long. With no budget as many as were trained.
        One training has no more than its share of the time: those that run beside it have the rest.
        """
        taken = past.epochs + past.planned
        spare = []
        if self.trials and space.length:
            spare.append(float(self.trials * space.length.values[-1] - taken))
        if self.compute and past.compute:
            spare.append(past.epochs * self.compute / past.compute - taken)
        if self.deadline and (passed := self._passed(self.deadline, past)):
            spare.append(past.epochs * (1 / passed - 1) / (1 + len(past.pending)))
        return min(spare) if spare else float(past.epochs - past.planned)

    @staticmethod
    def _passed(deadline: datetime, past: Past) -> float:
        """The share in [0, 1] of the time from the first trial to `deadline` that is over."""
        if not past.begun or not past.now:
            return 0.0
        return min(1.0, (past.now - past.begun) / (deadline - past.begun)) if deadline > past.begun else 1.0
