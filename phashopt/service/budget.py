"""The global budget: all workers together, checked under the ask lock before a trial is made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from optuna.trial import FrozenTrial, TrialState

from phashopt.search import ADOPTED_KEY
from phashopt.service.spec import StudyTable


def used_up(table: StudyTable, trials: Sequence[FrozenTrial], deadline: datetime | None) -> str | None:
    """Why no new trial may be made; None while one may. A waiting trial was counted when it was made.

    Those that run count for the epochs behind them, and go on: compute may end higher by what they have before them.
    Adopted trials were somebody else's expense. `deadline` is when the study's hours are over, where these are limited.
    """
    trials = [trial for trial in trials if ADOPTED_KEY not in trial.user_attrs]
    if len(trials) >= table.trials:
        return f"all {table.trials} trials are made"
    spent = sum(trial.user_attrs.get("train_macs", 0) for trial in trials)
    if table.max_compute is not None and spent >= table.max_compute:
        return f"{spent:.3g} of {table.max_compute:.3g} MACs are spent"
    if deadline is not None and datetime.now(UTC) >= deadline:
        return f"the study's {table.max_hours:g} hours are over"
    return None


def waiting(trials: Sequence[FrozenTrial]) -> bool:
    """Whether a trial stands enqueued, or was handed back by an interrupted worker."""
    return any(trial.state == TrialState.WAITING for trial in trials)
