"""A study as the plots need it: a table, the names of its columns, and which trials to mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from phashopt.trace import Trace

COMPLETE = "COMPLETE"
PRUNED = "PRUNED"


@dataclass(frozen=True)
class StudyView:
    """One row a trial: number, state, value (accuracy in [0, 1]), feasible, decision, parameters, scalar attributes.

    `widths` and `settings` name the parameter columns: kernels per layer, first layer first, and all others. `front`,
    `best` and `baseline` are trial numbers, `macs_cap` the limit or None, `traces` epochs by trial number.
    """

    trials: pd.DataFrame
    widths: list[str]
    settings: list[str]
    front: list[int]
    best: int | None
    baseline: int | None
    macs_cap: float | None
    traces: Mapping[int, Trace] = field(default_factory=dict)

    def numbers(self, column: str) -> pd.Series[float]:
        """A column by trial number, NaN where a trial has no finite number."""
        if column not in self.trials:
            return pd.Series(float("nan"), index=self._index, dtype=float)
        entries = pd.to_numeric(self.trials[column], errors="coerce").astype(float).set_axis(self._index)
        return entries.where(np.isfinite(entries))

    def words(self, column: str) -> pd.Series[str]:
        """A column by trial number as text, empty where a trial has none."""
        if column not in self.trials:
            return pd.Series("", index=self._index, dtype=str)
        entries = self.trials[column].astype(object)
        return entries.where(entries.notna(), "").astype(str).set_axis(self._index)

    @property
    def feasible(self) -> pd.Series[bool]:
        """Whether each trial keeps within the caps."""
        return self.numbers("feasible") > 0

    @property
    def marked(self) -> dict[str, int]:
        """The trials that every plot marks, by role."""
        roles = {"baseline": self.baseline, "best": self.best}
        return {role: number for role, number in roles.items() if number is not None}

    @property
    def _index(self) -> pd.Index[int]:
        return pd.Index(self.trials.get("number", pd.Series(dtype=int)).astype(int), name="number")
