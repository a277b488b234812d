"""A worker: claim a trial, train it, tell what came of it, until the budget is used up or somebody says stop."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from optuna import Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from phashopt.errors import DataError
from phashopt.service.lease import GRACE_SECONDS, Lease
from phashopt.service.objective import Objective, Progress, Trained
from phashopt.service.publish import refresh_plots, upload_pictures
from phashopt.service.queue import ATTEMPT_KEY, Queue
from phashopt.service.study import (
    check_data,
    load_data,
    open_study,
    read_artifact_root,
    request_stop,
    stop_requests,
)
from phashopt.service.summary import BASELINE_ROLE, FINISHED, ROLE_KEY
from phashopt.training.loop import Diverged, Interrupted

BASELINE_DECISION = "The network before adjustment, as the spec gives it: full length, the middle of every range."
POLL_SECONDS = 1.0  # between looks at the database for a stop
PLOT_SECONDS = 10.0  # between redrawings of the study's plots
MAX_FAILURES = 3  # in a row: then something is wrong with more than a trial


@dataclass(frozen=True)
class Ended:
    """A trial's end: its state, what it scored (None if it failed) and one line about it."""

    trial: int
    state: str
    accuracy: float | None
    message: str


@dataclass(frozen=True)
class Idle:
    """Nothing to claim, but others are still at work, and one of them may yet hand a trial back."""


Event = Progress | Ended | Idle


class TooManyFailuresError(RuntimeError):
    """Trial after trial failed."""


class Worker:
    """Pulls trials of one study in one process on one device.

    `stopping` is asked often and must be cheap; when it turns true the running trial goes back to the queue with its
    last checkpoint. `notify` hears of every epoch and every end. A trial whose worker has not been heard of for
    `grace` seconds is taken over.
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
    ) -> None:
        self._label = label
        self._stopping = stopping
        self._notify = notify
        self._study, self._spec = open_study(url, name)
        self._root = read_artifact_root(self._study, url)
        self._queue = Queue(self._study, self._spec, url, grace=grace)
        self._stops = stop_requests(self._study)
        self._polled_at = 0.0
        self._plotted_at = 0.0
        self._lease: Lease | None = None
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        data = load_data(self._spec, data_dir, device)
        check_data(self._study, data)
        self._objective = Objective(
            self._study, self._spec, data, self._root, interrupted=self._interrupted, notify=notify
        )

    def work(self, limit: int | None = None) -> Counter[str]:
        """Run trials until nothing is left to do, or `limit` of them; returns how many ended in which state.

        Raises `DataError` after asking all workers to stop, `TooManyFailuresError` after three failures in a row.
        """
        ends: Counter[str] = Counter()
        failures = 0
        while not self._asked_to_leave() and (limit is None or ends.total() < limit):
            trial = self._queue.claim()
            if trial is None and not self._queue.others_running():
                break
            if trial is None:
                self._notify(Idle())
                time.sleep(POLL_SECONDS)
                continue
            ended = self._run(trial)
            self._notify(ended)
            ends += Counter([ended.state] if ended.state in FINISHED else [])
            failures = failures + 1 if ended.state == TrialState.FAIL.name else 0
            if failures == MAX_FAILURES:
                raise TooManyFailuresError(f"{failures} trials failed in a row, the last one: {ended.message}")
            self._plot()
        self._plot(at_once=True)
        return ends

    def _run(self, trial: Trial) -> Ended:
        """Train and tell, unless the trial is lost to somebody else or this worker is to leave."""
        attempt = self._sign(trial)
        with Lease(self._study._storage, trial._trial_id) as lease:
            self._lease = lease
            try:
                return self._tell(trial, self._objective(trial), lease)
            except (Interrupted, UpdateFinishedTrialError):
                if not lease.held():
                    return Ended(trial.number, self._state(trial).name, None, "no longer this worker's")
                self._queue.hand_back(trial)
                return Ended(trial.number, TrialState.WAITING.name, None, f"handed back in attempt {attempt}")
            except DataError as error:
                request_stop(self._study)
                self._fail(trial, error, lease)
                raise
            except Exception as error:
                return self._fail(trial, error, lease)

    def _sign(self, trial: Trial) -> int:
        """Write who runs the trial, and for the how-many-eth time."""
        attempt = int(trial.user_attrs.get(ATTEMPT_KEY, 0)) + 1
        trial.set_user_attr(ATTEMPT_KEY, attempt)
        trial.set_user_attr("worker", self._label)
        return attempt

    def _tell(self, trial: Trial, trained: Trained, lease: Lease) -> Ended:
        """Attach what the dashboard shows, then finish the trial: after that it takes nothing more."""
        self._mirror_decision(trial)
        upload_pictures(trial, trained, self._root)
        outcome = trained.outcome
        if not lease.held():
            raise Interrupted
        if outcome.stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
            return Ended(trial.number, TrialState.PRUNED.name, outcome.accuracy, f"stopped at {outcome.epochs_used}")
        self._study.tell(trial, outcome.accuracy)
        return Ended(trial.number, TrialState.COMPLETE.name, outcome.accuracy, f"{outcome.epochs_used} epochs")

    def _fail(self, trial: Trial, error: Exception, lease: Lease) -> Ended:
        message = str(error).strip() or type(error).__name__
        if not isinstance(error, Diverged | DataError):
            traceback.print_exception(error)
        if lease.held():
            self._mirror_decision(trial)
            trial.set_user_attr("error.type", type(error).__name__)
            trial.set_user_attr("error.message", message)
            self._study.tell(trial, state=TrialState.FAIL)
        return Ended(trial.number, TrialState.FAIL.name, None, message)

    def _mirror_decision(self, trial: Trial) -> None:
        """Copy what the sampler wrote where the dashboard shows it; the baseline was nobody's decision."""
        noted = self._study._storage.get_trial_system_attrs(trial._trial_id)
        baseline = trial.user_attrs.get(ROLE_KEY) == BASELINE_ROLE
        trial.set_user_attr("decision", BASELINE_DECISION if baseline else noted.get("decision", self._undecided()))
        trial.set_user_attr("parent", noted.get("parent", -1))

    def _undecided(self) -> str:
        return f"Proposed by {type(self._study.sampler).__name__}, which gives no reason."

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
            refresh_plots(self._study)
