"""The study database as the queue: trials claimed within the budget, handed back, and taken over from dead workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from phashopt.search import DECISION_KEY, NO_PARENT, PARENT_KEY, PHashSampler
from phashopt.service.budget import used_up, waiting
from phashopt.service.draft import Draft
from phashopt.service.lease import BEATS, GRACE_SECONDS, Lease, this_host
from phashopt.service.locks import claim_lock
from phashopt.service.patience import repeat
from phashopt.service.reaper import Reaper
from phashopt.service.searching import make_sampler
from phashopt.service.spec import Spec
from phashopt.service.storage import kind
from phashopt.service.study import deadline_of, read_subject
from phashopt.service.summary import BASELINE_ROLE, ROLE_KEY

ATTEMPT_KEY = "attempt"
BASELINE_DECISION = "The network before adjustment, as the spec gives it: full length, the middle of every range."
ENQUEUED = "Enqueued as it is: nobody proposed it."


@dataclass(frozen=True)
class Claim:
    """A trial that is ours, signed for the how-many-eth attempt at it, and the lease that says so."""

    trial: Trial
    lease: Lease
    attempt: int


class Queue:
    """One worker's view of the trials of a study.

    `label` signs what it claims; `give_up` tells it to wait no longer for a database that is away.
    """

    def __init__(
        self,
        study: Study,
        spec: Spec,
        url: str,
        label: str,
        *,
        grace: float = GRACE_SECONDS,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._study = study
        self._spec = spec
        self._url = url
        self._label = label
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
            if not waiting(trials) and used_up(self._spec.study, trials, deadline_of(self._study, self._spec)):
                return None
            return self._take(trials)

    def _take(self, trials: Sequence[FrozenTrial]) -> Claim:
        """The first that waits among `trials`, which are all there are, or a new one, stored with all that is ours."""
        self._seed_sampler(len(trials))
        draft = Draft(self._study._storage, trials)
        asked = draft.ask(self._study, self._spec.space)
        host = this_host() if kind(self._url) == "sqlite" else None
        lease = Lease(draft, asked._trial_id, host=host, beat=self._grace / BEATS).take()
        attempt = self._sign(draft, asked)
        trial = draft.stored(self._study, asked)
        return Claim(trial, lease.follow(self._study._storage, trial._trial_id), attempt)

    def _sign(self, draft: Draft, trial: Trial) -> int:
        """Note who runs the trial, for the how-many-eth time, and why, where no sampler said so.

        The decision is no user attribute: the dashboard makes a column of each, and a sentence in one stretches its
        rows over the whole screen.
        """
        known, noted = trial.user_attrs, draft.get_trial_system_attrs(trial._trial_id)
        attempt = int(known.get(ATTEMPT_KEY, 0)) + 1
        signature = {ATTEMPT_KEY: attempt, "worker": self._label, "parent": noted.get(PARENT_KEY, NO_PARENT)}
        for key, value in signature.items():
            if known.get(key) != value:
                draft.set_trial_user_attr(trial._trial_id, key, value)
        if DECISION_KEY not in noted:
            undecided = f"Proposed by {type(self._study.sampler).__name__}, which gives no reason."
            words = ENQUEUED if noted.get("fixed_params", {}).keys() >= self._spec.space.keys() else undecided
            words = BASELINE_DECISION if known.get(ROLE_KEY) == BASELINE_ROLE else words
            draft.set_trial_system_attr(trial._trial_id, DECISION_KEY, words)
        return attempt

    def _seed_sampler(self, number: int) -> None:
        """Make a sampler that is not ours anew: it would repeat its first draws in every worker."""
        if not isinstance(self._study.sampler, PHashSampler):
            subject = read_subject(self._study)
            self._study.sampler = make_sampler(self._spec, subject.image, len(subject.classes), number)
