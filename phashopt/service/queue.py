"""The study database as the queue: trials claimed within the budget, handed back, and taken over from dead workers."""

from __future__ import annotations

from datetime import datetime

from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState

from phashopt.search import PHashSampler
from phashopt.service.budget import used_up, waiting
from phashopt.service.lease import GRACE_SECONDS, Watch
from phashopt.service.searching import make_sampler
from phashopt.service.spec import Spec
from phashopt.service.storage import ask_lock
from phashopt.service.study import read_subject

ATTEMPT_KEY = "attempt"
MAX_ATTEMPTS = 3


class Queue:
    """One worker's view of the trials of a study; `grace` is how long a lease may stand still, in seconds."""

    def __init__(self, study: Study, spec: Spec, url: str, *, grace: float = GRACE_SECONDS) -> None:
        self._study = study
        self._spec = spec
        self._url = url
        self._watch = Watch(grace=grace)

    def claim(self) -> Trial | None:
        """The next trial, one handed back before a new one; None when there is nothing to claim now."""
        with ask_lock(self._url):
            trials = self._reap()
            if not waiting(trials) and used_up(self._spec.study, trials, datetime.now()):
                return None
            self._seed_sampler(len(trials))
            return self._study.ask(self._spec.space)

    def others_running(self) -> bool:
        """Whether trials are still running elsewhere: one may yet come back."""
        return any(trial.state == TrialState.RUNNING for trial in self._study.get_trials(deepcopy=False))

    def hand_back(self, trial: Trial) -> None:
        """Let somebody else go on with a running trial of ours."""
        self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def watch(self) -> None:
        """Look at the other workers' leases; an expired one is seen only by who has looked before."""
        self._watch.expired(self._study.get_trials(deepcopy=False))

    def _reap(self) -> list[FrozenTrial]:
        """Put trials whose worker is gone back into the queue, or fail them for good; returns all trials."""
        trials = self._study.get_trials(deepcopy=False)
        expired = self._watch.expired(trials)
        for trial in expired:
            if trial.user_attrs.get(ATTEMPT_KEY, 1) < MAX_ATTEMPTS:
                self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            else:
                self._give_up(trial)
        return self._study.get_trials(deepcopy=False) if expired else trials

    def _give_up(self, trial: FrozenTrial) -> None:
        message = f"its worker vanished in each of {MAX_ATTEMPTS} attempts"
        self._study._storage.set_trial_user_attr(trial._trial_id, "error.type", "WorkerLost")
        self._study._storage.set_trial_user_attr(trial._trial_id, "error.message", message)
        self._study.tell(trial.number, state=TrialState.FAIL)

    def _seed_sampler(self, number: int) -> None:
        """Make a sampler that is not ours anew: it would repeat its first draws in every worker."""
        if not isinstance(self._study.sampler, PHashSampler):
            subject = read_subject(self._study)
            self._study.sampler = make_sampler(self._spec, subject.image, len(subject.classes), number)
