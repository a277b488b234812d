"""What workers tell of themselves while they are at work."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """Where a trial is: epochs done of those planned, last accuracy, mean redundancy over layers (NaN: not read yet).

    `images_per_second` are those trained on, `seconds_left` what the planned epochs will take at that speed.
    """

    trial: int
    epoch: int
    epochs: int
    accuracy: float
    redundancy: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Ended:
    """A trial's end: its state, what it scored (None if it failed) and one line about it.

    `ours` is false of a trial that somebody else ended or took over; `diverged` is one that failed by its numbers.
    """

    trial: int
    state: str
    accuracy: float | None
    message: str
    ours: bool = True
    diverged: bool = False


@dataclass(frozen=True)
class Idle:
    """Nothing to claim, but others are still at work, and one of them may yet hand a trial back."""


Event = Progress | Ended | Idle


@dataclass(frozen=True)
class Closed:
    """A slot's last word: how many trials ended in which state, or what went wrong."""

    ends: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    users_error: bool = False  # the user can mend it
