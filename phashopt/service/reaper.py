"""Trials whose worker is gone: put back into the queue, or failed for good once they have outlived enough workers."""

from __future__ import annotations

import time

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from phashopt.service.failures import Failure, ManyHostsError, fail
from phashopt.service.lease import BEAT_SECONDS, GRACE_SECONDS, Watch, read_lease, this_host
from phashopt.service.storage import kind
from phashopt.service.study import read_artifact_root

LOST_KEY = "lost"  # how many workers have vanished under the trial


class Reaper:
    """Watches the leases of one study; `grace` is how long one may stand still, in seconds."""

    def __init__(self, study: Study, url: str, max_attempts: int, *, grace: float = GRACE_SECONDS) -> None:
        self._study = study
        self._url = url
        self._max_attempts = max_attempts
        self._watch = Watch(grace=grace)

    def look(self) -> list[FrozenTrial]:
        """All trials, their leases taken note of: an expired one is seen only by who has looked before.

        Raises `ManyHostsError` when SQLite is written to from another host, which would corrupt it sooner or later.
        """
        trials = self._study.get_trials(deepcopy=False)
        self._watch.expired(trials)
        if kind(self._url) == "sqlite" and any(_is_foreign(trial) for trial in self._watch.moved):
            raise ManyHostsError(
                "a worker on another host is at work on this SQLite file, whose locks do not hold between hosts; "
                "use PostgreSQL, or 'phashopt server' on one host and --storage grpc://HOST:PORT on the others"
            )
        return trials

    def check_host(self) -> None:
        """Wait and see whether a lease left by another host still moves: this host may have been that one before."""
        running = [trial for trial in self.look() if trial.state == TrialState.RUNNING]
        if kind(self._url) == "sqlite" and any(_is_foreign(trial) for trial in running):
            time.sleep(2 * BEAT_SECONDS)
            self.look()

    def reap(self) -> list[FrozenTrial]:
        """Under the claim lock: hand back or fail trials whose lease has expired; returns all trials as they are."""
        trials = self._study.get_trials(deepcopy=False)
        expired = self._watch.expired(trials)
        for trial in expired:
            self._let_go(trial)
        return self._study.get_trials(deepcopy=False) if expired else trials

    def _let_go(self, trial: FrozenTrial) -> None:
        storage, lost = self._study._storage, trial.user_attrs.get(LOST_KEY, 0) + 1
        storage.set_trial_user_attr(trial._trial_id, LOST_KEY, lost)
        if lost < self._max_attempts:
            storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            return
        message = f"its worker vanished in each of {self._max_attempts} attempts"
        log = f"{message}\nthe last one: {trial.user_attrs.get('worker', 'unknown')}\nparams: {trial.params}\n"
        root = read_artifact_root(self._study, self._url)
        fail(storage, trial._trial_id, Failure("WorkerLost", message, log), root)


def _is_foreign(trial: FrozenTrial) -> bool:
    lease = read_lease(trial) or {}
    return lease.get("host") not in (None, this_host())
