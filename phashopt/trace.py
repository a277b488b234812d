"""What training leaves for the search: per epoch loss, accuracy, rate and each layer's reading, as plain numbers.

This is the only thing the signal and the search share. The signal writes it into the trial's system attribute
`trace`, the search reads it there; neither imports the other, and anybody's objective may write it. It is one compact
JSON object, rewritten as training goes on, because every attribute a trial carries costs 5 to 30 ms a write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

TRACE_KEY = "trace"
READING_FIELDS = ("redundancy", "duplicates", "dead")
SCALARS = ("loss", "accuracy", "learning_rate")
DIGITS = 6  # significant ones, since a rate or a loss may be tiny


@dataclass(frozen=True)
class Reading:
    """One layer at one epoch, each in [0, 1] or NaN: rho, near-duplicate share, dead share (docs/signal.md, 5)."""

    redundancy: float
    duplicates: float
    dead: float


@dataclass
class Epoch:
    """One row: `number` counts from 1; `readings` maps width parameters to layers read, empty if none was."""

    number: int
    loss: float = math.nan
    accuracy: float = math.nan
    learning_rate: float = math.nan
    readings: dict[str, Reading] = field(default_factory=dict)


@dataclass
class Trace:
    """The epochs of one training, in order."""

    epochs: list[Epoch] = field(default_factory=list)

    def add(self, epoch: Epoch) -> None:
        """Append `epoch`; rows from its number on (an interrupted attempt's) are replaced."""
        self.epochs = [row for row in self.epochs if row.number < epoch.number]
        self.epochs.append(epoch)

    @property
    def unread(self) -> Trace:
        """The same epochs as if no layer had been looked at."""
        return Trace([replace(row, readings={}) for row in self.epochs])

    @property
    def last_readings(self) -> dict[str, Reading]:
        """The readings of the last epoch that was read; empty when none was."""
        return next((row.readings for row in reversed(self.epochs) if row.readings), {})

    def to_json(self, digits: int | None = DIGITS) -> dict[str, Any]:
        """Columns instead of rows, layers as they were read, NaN as null and an infinite number as text.

        Of each number so many significant `digits`; all where None.
        """
        names = list(dict.fromkeys(name for row in self.epochs for name in row.readings))
        document: dict[str, Any] = {"epoch": [row.number for row in self.epochs]}
        for scalar in SCALARS:
            document[scalar] = [_noted(getattr(row, scalar), digits) for row in self.epochs]
        for quantity in READING_FIELDS:
            document[quantity] = {
                name: [_noted(getattr(row.readings.get(name), quantity, math.nan), digits) for row in self.epochs]
                for name in names
            }
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Trace:
        """The inverse of `to_json`; a layer whose three numbers are all null was not read at that epoch."""
        return cls([_row(document, index) for index in range(len(document.get("epoch", ())))])


class WritableTrial(Protocol):
    """As much of a running Optuna trial as writing a trace takes."""

    _trial_id: int

    @property
    def storage(self) -> Any: ...


def write_trace(trial: WritableTrial, trace: Trace) -> None:
    """Store `trace` with a running `optuna.Trial`."""
    trial.storage.set_trial_system_attr(trial._trial_id, TRACE_KEY, trace.to_json())


def read_trace(system_attrs: Mapping[str, Any]) -> Trace:
    """The trace in a trial's system attributes; an empty one where there is none."""
    return Trace.from_json(system_attrs.get(TRACE_KEY, {}))


def _row(document: Mapping[str, Any], index: int) -> Epoch:
    columns = {quantity: document.get(quantity, {}) for quantity in READING_FIELDS}
    readings = {}
    for name in columns["redundancy"]:
        numbers = [columns[quantity][name][index] for quantity in READING_FIELDS]
        if any(number is not None for number in numbers):
            readings[name] = Reading(*map(_number, numbers))
    scalars = {scalar: _number(document[scalar][index]) for scalar in SCALARS}
    return Epoch(number=document["epoch"][index], readings=readings, **scalars)


def _noted(number: float, digits: int | None) -> float | str | None:
    """JSON knows no number that is not finite."""
    if math.isnan(number):
        return None
    if not math.isfinite(number):
        return str(float(number))
    return float(number) if digits is None else float(f"{number:.{digits}g}")


def _number(entry: float | str | None) -> float:
    return math.nan if entry is None else float(entry)
