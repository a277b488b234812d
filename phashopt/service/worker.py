"""A worker: claim a trial, train it, tell what came of it, until the budget is used up or somebody says stop."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from optuna import Study, Trial
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from phashopt.errors import DataError, UserError
from phashopt.search import ADOPTED_KEY
from phashopt.service.events import Ended, Event, Idle
from phashopt.service.failures import blocked, empty_device, fail, failure_of, is_out_of_memory
from phashopt.service.images import check_data, load_data
from phashopt.service.lease import GRACE_SECONDS, Lease
from phashopt.service.objective import Hooks, Objective, Result, discard_checkpoint
from phashopt.service.patience import StorageAwayError
from phashopt.service.publish import refresh_plots
from phashopt.service.queue import Claim, Queue
from phashopt.service.spec import Spec
from phashopt.service.storage import without_password
from phashopt.service.study import is_deleted, open_study, read_artifact_root, request_stop, stop_requests
from phashopt.service.summary import FINISHED
from phashopt.training.loop import Diverged, Interrupted

MakeObjective = Callable[[Study, Spec, Path, Hooks], Callable[[Trial], Result]]

POLL_SECONDS = 1.0  # between looks at the database for a stop
PLOT_SECONDS = 10.0  # between redrawings of the study's plots
PLOT_GROWTH = 0.1  # and only when so many more trials are there to be seen

logger = logging.getLogger("phashopt")


class TooManyFailuresError(RuntimeError):
    """Trial after trial failed."""


class Worker:
    """Pulls trials of one study in one process on one device.

    `stopping` is asked often and must be cheap; when it turns true the running trial goes back to the queue with its
    last checkpoint. `notify` hears of every epoch and every end. A trial whose worker has not been heard of for
    `grace` seconds is taken over. `make_objective` stands in for the training.
    """

    def __init__(
        self,
        url: str,
        name: str,
        data_dir: Path,
        *,
        label: str,
        stopping: Callable[[], bool] = lambda: False,
        notify: Callable[[Event], None] = lambda _: None,
        grace: float = GRACE_SECONDS,
        make_objective: MakeObjective | None = None,
    ) -> None:
        self._url = url
        self._label = label
        self._stopping = stopping
        self._notify = notify
        self._study, self._spec = open_study(url, name, give_up=stopping)
        self._root = read_artifact_root(self._study, url)
        self._queue = Queue(self._study, self._spec, url, label, grace=grace, give_up=stopping)
        self._stops = stop_requests(self._study)
        self._polled_at = 0.0
        self._plotted_at = 0.0
        self._lease: Lease | None = None
        make = make_objective or partial(training_objective, data_dir=data_dir)
        self._objective = make(self._study, self._spec, self._root, Hooks(self._interrupted, notify))

    def work(self, limit: int | None = None) -> Counter[str]:
        """Run trials until nothing is left to do, or `limit` of them; returns how many ended in which state.

        Raises `DataError` after asking all workers to stop, `UserError` where this machine cannot go on or the study
        was deleted, `TooManyFailuresError` after as many failures in a row as the spec allows, `StorageAwayError` if
        the database stays away.
        """
        try:
            return self._work(limit)
        except (StorageAwayError, UserError):
            raise
        except Exception as error:
            if stuck := blocked(error, self._root):  # met at a claim, or when the plots were drawn
                raise stuck from error
            self._check_there()
            raise

    def _work(self, limit: int | None) -> Counter[str]:
        ends: Counter[str] = Counter()
        failures = 0
        self._queue.check_host()
        while not self._asked_to_leave() and (limit is None or ends.total() < limit):
            claim = self._queue.claim()
            if claim is None and not self._queue.others_running():
                break
            if claim is None:
                self._notify(Idle())
                time.sleep(POLL_SECONDS)
                continue
            ended = self._run(claim)
            self._notify(ended)
            ends += Counter([ended.state] if ended.ours and ended.state in FINISHED else [])
            failures = self._faults(failures, ended)
            if failures == self._spec.study.max_failures:
                raise TooManyFailuresError(f"{failures} trials failed in a row, the last one: {ended.message}")
            self._plot()
        self._plot(at_once=not self._queue.others_running())  # the last one out shows all
        return ends

    def _faults(self, before: int, ended: Ended) -> int:
        """How many trials in a row say that something is wrong with machine, images or spec.

        Where others of this study went well a loss that is no number is a finding, which says nothing of that: the
        search tries where losses explode.
        """
        if not ended.ours or ended.state != TrialState.FAIL.name:
            return 0
        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        finding = ended.diverged and any(ADOPTED_KEY not in trial.user_attrs for trial in complete)
        return before if finding else before + 1

    def _run(self, claim: Claim) -> Ended:
        """Train and tell, unless the trial is lost to somebody else or this worker is to leave."""
        trial = claim.trial
        with claim.lease as lease:
            self._lease = lease
            try:
                return self._tell(trial, self._train(trial), lease)
            except StorageAwayError:
                raise
            except Exception as error:
                if stuck := blocked(error, self._root):
                    self._hand_back_if_possible(claim)
                    raise stuck from error
                self._check_there()
                if not lease.held():
                    return Ended(trial.number, self._state(trial).name, None, "no longer this worker's", ours=False)
                if isinstance(error, Interrupted):
                    self._queue.hand_back(claim)
                    return Ended(trial.number, TrialState.WAITING.name, None, f"handed back in attempt {claim.attempt}")
                if isinstance(error, DataError):
                    request_stop(self._study)
                    self._fail(trial, error)
                    raise
                return self._fail(trial, error)

    def _train(self, trial: Trial) -> Result:
        """Once more on an empty device if memory runs out: another process may have taken it."""
        try:
            return self._objective(trial)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # outside of `except`: the error's traceback holds on to the tensors of the first attempt
        empty_device()
        return self._objective(trial)

    def _tell(self, trial: Trial, result: Result, lease: Lease) -> Ended:
        """Finish the trial, if it is still ours: after that it takes nothing more.

        A sampler whose `after_trial` fails has ended it all the same: Optuna stores the end before it passes that on.
        """
        if not lease.held():
            raise Interrupted
        state, value = (TrialState.PRUNED, None) if result.stopped else (TrialState.COMPLETE, result.accuracy)
        try:
            self._study.tell(trial, value, state=state)
        except Exception as error:
            if self._state(trial) != state:
                raise
            told = f"{type(error).__name__}: {error}"
            logger.warning("Trial %d has ended, but the sampler could not take note of it: %s", trial.number, told)
        discard_checkpoint(self._study, trial, self._root)
        message = f"stopped at {result.epochs_used}" if result.stopped else f"{result.epochs_used} epochs"
        return Ended(trial.number, state.name, result.accuracy, message)

    def _fail(self, trial: Trial, error: Exception) -> Ended:
        """End the trial with its reason and its log; what nobody foresaw is shown here too."""
        if not isinstance(error, Diverged | DataError) and not is_out_of_memory(error):
            print(without_password("".join(traceback.format_exception(error)), self._url), file=sys.stderr)
        facts = {"study": self._study.study_name, "trial": trial.number, "worker": self._label, "params": trial.params}
        failure = failure_of(error, facts, self._url)
        fail(self._study._storage, trial._trial_id, failure, self._root)
        diverged = isinstance(error, Diverged)
        return Ended(trial.number, TrialState.FAIL.name, None, failure.message, diverged=diverged)

    def _hand_back_if_possible(self, claim: Claim) -> None:
        """On a full disk the database may take nothing either: then the lease ends by itself."""
        with suppress(StorageInternalError):
            self._queue.hand_back(claim)

    def _check_there(self) -> None:
        """Raise `UserError` if somebody has deleted the study."""
        if is_deleted(self._study):
            raise UserError(f"study {self._study.study_name!r} was deleted")

    def _state(self, trial: Trial) -> TrialState:
        return self._study._storage.get_trial(trial._trial_id).state

    def _interrupted(self) -> bool:
        """Whether to leave the running trial: asked before every step, looks at the database once a second."""
        if self._stopping():
            return True
        if time.monotonic() - self._polled_at < POLL_SECONDS:
            return False
        self._polled_at = time.monotonic()
        self._queue.watch()
        return self._asked_to_leave() or (self._lease is not None and not self._lease.held())

    def _asked_to_leave(self) -> bool:
        return self._stopping() or stop_requests(self._study) > self._stops

    def _plot(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._plotted_at >= PLOT_SECONDS:
            self._plotted_at = time.monotonic()
            refresh_plots(self._study, growth=0.0 if at_once else PLOT_GROWTH)


def training_objective(study: Study, spec: Spec, root: Path, hooks: Hooks, *, data_dir: Path) -> Objective:
    """Trains networks on the study's images; raises `DataError`, and `UserError` if they are others than at first."""
    data = load_data(spec, data_dir, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    check_data(study, data)
    return Objective(study, spec, data, root, hooks)
