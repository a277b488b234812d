"""The study database as the queue: trials claimed within the budget, handed back, and taken over from dead workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from optuna import Study, Trial
from optuna.trial import TrialState

from phashopt.search import PHashSampler
from phashopt.service.budget import used_up, waiting
from phashopt.service.lease import BEATS, GRACE_SECONDS, Lease, this_host
from phashopt.service.locks import claim_lock
from phashopt.service.patience import repeat
from phashopt.service.reaper import Reaper
from phashopt.service.searching import make_sampler
from phashopt.service.spec import Spec
from phashopt.service.storage import kind
from phashopt.service.study import hours_old, read_subject


@dataclass(frozen=True)
class Claim:
    """A trial that is ours, and the lease that says so."""

    trial: Trial
    lease: Lease


class Queue:
    """One worker's view of the trials of a study; `give_up` tells it to wait no longer for a database that is away."""

    def __init__(
        self,
        study: Study,
        spec: Spec,
        url: str,
        *,
        grace: float = GRACE_SECONDS,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._study = study
        self._spec = spec
        self._url = url
        self._grace = grace
        self._give_up = give_up
        self._reaper = Reaper(study, url, spec.study.max_attempts, grace=grace)

    def claim(self) -> Claim | None:
        """The next trial, one handed back before a new one; None when there is nothing to claim now.

        A database that goes away in the middle releases the lock, so a claim begins again from its start.
        """
        return repeat(self._claim, self._give_up)

    def others_running(self) -> bool:
        """Whether trials are still running elsewhere: one may yet come back."""
        return any(trial.state == TrialState.RUNNING for trial in self._reaper.look())

    def hand_back(self, claim: Claim) -> None:
        """Let somebody else go on with a running trial, if it is still ours."""
        repeat(lambda: self._hand_back(claim), self._give_up)

    def watch(self) -> None:
        """Look at the other workers' leases; raises `UserError` if SQLite is shared between hosts."""
        self._reaper.look()

    def check_host(self) -> None:
        """Before the first claim: raises `UserError` if another host is at work on this SQLite file."""
        self._reaper.check_host()

    def _hand_back(self, claim: Claim) -> None:
        with claim_lock(self._study._storage, self._url, self._study.study_name):
            if claim.lease.held():
                self._study._storage.set_trial_state_values(claim.trial._trial_id, TrialState.WAITING)

    def _claim(self) -> Claim | None:
        with claim_lock(self._study._storage, self._url, self._study.study_name):
            trials = self._reaper.reap()
            if not waiting(trials) and used_up(self._spec.study, trials, partial(hours_old, self._study)):
                return None
            self._seed_sampler(len(trials))
            trial = self._study.ask(self._spec.space)
            host = this_host() if kind(self._url) == "sqlite" else None
            lease = Lease(self._study._storage, trial._trial_id, host=host, beat=self._grace / BEATS)
            return Claim(trial, lease.take())

    def _seed_sampler(self, number: int) -> None:
        """Make a sampler that is not ours anew: it would repeat its first draws in every worker."""
        if not isinstance(self._study.sampler, PHashSampler):
            subject = read_subject(self._study)
            self._study.sampler = make_sampler(self._spec, subject.image, len(subject.classes), number)
