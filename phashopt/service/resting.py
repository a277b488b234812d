"""Whether workers are at a study: whoever lives keeps the leases of its trials moving."""

from __future__ import annotations

import time
from collections.abc import Sequence

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from phashopt.errors import UserError
from phashopt.service.lease import BEAT_SECONDS, read_lease

WAIT_SECONDS = 3 * BEAT_SECONDS  # a living worker has bumped its lease by then
LOOK_SECONDS = 1.0


def check_at_rest(study: Study) -> None:
    """Raise `UserError` while trials run whose worker lives, or in a script, which says nothing of its life.

    Takes a few seconds if any are running.
    """
    before = _running(study.get_trials(deepcopy=False))
    if strangers := [trial.number for trial in before if read_lease(trial) is None]:
        raise UserError(
            f"trial {strangers[0]} of {study.study_name!r} is running in a script of somebody's, of which nothing is "
            "known here: end it, and if the trial stays so, use 'optuna delete-study'"
        )
    until = time.monotonic() + WAIT_SECONDS
    while before and time.monotonic() < until:
        time.sleep(min(LOOK_SECONDS, WAIT_SECONDS))
        trials = study.get_trials(deepcopy=False)
        running = len(_running(trials))
        if running > len(silent(before, trials)):
            name = study.study_name
            raise UserError(
                f"{running} trial{'s' * (running != 1)} of {name!r} {'are' if running != 1 else 'is'} running; "
                f"'study stop {name}' first"
            )


def silent(before: Sequence[FrozenTrial], after: Sequence[FrozenTrial]) -> list[int]:
    """Numbers of the running trials whose lease did not move from one look to the next."""
    leases = {trial.number: read_lease(trial) for trial in _running(before)}
    return [trial.number for trial in _running(after) if leases.get(trial.number, ()) == read_lease(trial)]


def _running(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == TrialState.RUNNING]
