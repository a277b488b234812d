"""A worker: claim a trial, train it, tell what came of it, until the budget is used up or somebody says stop."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import torch
from optuna import Trial
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from phashopt.errors import DataError
from phashopt.search import PHashSampler
from phashopt.service.budget import used_up, waiting
from phashopt.service.objective import Objective, Progress, Trained
from phashopt.service.publish import refresh_plots, upload_pictures
from phashopt.service.searching import make_sampler
from phashopt.service.storage import ask_lock
from phashopt.service.study import (
    check_data,
    load_data,
    open_study,
    read_artifact_root,
    read_subject,
    request_stop,
    stop_requests,
)
from phashopt.service.summary import BASELINE_ROLE, ROLE_KEY
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


Event = Progress | Ended


class TooManyFailuresError(RuntimeError):
    """Trial after trial failed."""


class Worker:
    """Pulls trials of one study in one process on one device.

    `stopping` is asked often and must be cheap; when it turns true the running trial goes back to the queue with its
    last checkpoint. `notify` hears of every epoch and every end.
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
    ) -> None:
        self._url = url
        self._label = label
        self._stopping = stopping
        self._notify = notify
        self._study, self._spec = open_study(url, name)
        self._root = read_artifact_root(self._study, url)
        self._stops = stop_requests(self._study)
        self._polled_at = 0.0
        self._plotted_at = 0.0
        self._trial: Trial | None = None
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
        while limit is None or ends.total() < limit:
            trial = self._claim()
            if trial is None:
                break
            ended = self._run(trial)
            if ended is None:
                break
            self._notify(ended)
            ends[ended.state] += 1
            failures = failures + 1 if ended.state == TrialState.FAIL.name else 0
            if failures == MAX_FAILURES:
                raise TooManyFailuresError(f"{failures} trials failed in a row, the last one: {ended.message}")
            self._plot()
        self._plot(at_once=True)
        return ends

    def _claim(self) -> Trial | None:
        """The next trial, one handed back before a new one; None when there is nothing to do."""
        with ask_lock(self._url):
            if self._asked_to_leave():
                return None
            trials = self._study.get_trials(deepcopy=False)
            if not waiting(trials) and used_up(self._spec.study, trials, datetime.now()):
                return None
            if not isinstance(self._study.sampler, PHashSampler):
                subject = read_subject(self._study)
                number = len(trials)
                self._study.sampler = make_sampler(self._spec, subject.image, len(subject.classes), number)
            return self._study.ask(self._spec.space)

    def _run(self, trial: Trial) -> Ended | None:
        """Train and tell; None if the trial went back to the queue because this worker is to leave."""
        self._trial = trial
        attempt = self._sign(trial)
        try:
            trained = self._objective(trial)
            return self._tell(trial, trained)
        except (Interrupted, UpdateFinishedTrialError):
            if self._state(trial).is_finished():
                return Ended(trial.number, self._state(trial).name, None, "ended by somebody else")
            self._study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            self._notify(Ended(trial.number, TrialState.WAITING.name, None, f"handed back in attempt {attempt}"))
            return None
        except DataError as error:
            request_stop(self._study)
            self._fail(trial, error)
            raise
        except Exception as error:
            return self._fail(trial, error)
        finally:
            self._trial = None

    def _sign(self, trial: Trial) -> int:
        """Write who runs the trial, and for the how-many-eth time."""
        attempt = int(trial.user_attrs.get("attempt", 0)) + 1
        trial.set_user_attr("attempt", attempt)
        trial.set_user_attr("worker", self._label)
        return attempt

    def _tell(self, trial: Trial, trained: Trained) -> Ended:
        """Attach what the dashboard shows, then finish the trial: after that it takes nothing more."""
        self._mirror_decision(trial)
        upload_pictures(trial, trained, self._root)
        outcome = trained.outcome
        if outcome.stopped:
            self._study.tell(trial, state=TrialState.PRUNED)
            return Ended(trial.number, TrialState.PRUNED.name, outcome.accuracy, f"stopped at {outcome.epochs_used}")
        self._study.tell(trial, outcome.accuracy)
        return Ended(trial.number, TrialState.COMPLETE.name, outcome.accuracy, f"{outcome.epochs_used} epochs")

    def _fail(self, trial: Trial, error: Exception) -> Ended:
        message = str(error).strip() or type(error).__name__
        if not isinstance(error, Diverged | DataError):
            traceback.print_exception(error)
        try:
            self._mirror_decision(trial)
            trial.set_user_attr("error.type", type(error).__name__)
            trial.set_user_attr("error.message", message)
            self._study.tell(trial, state=TrialState.FAIL)
        except (UpdateFinishedTrialError, ValueError, AssertionError):
            message = f"ended by somebody else; {message}"
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
        ended = self._trial is not None and self._state(self._trial).is_finished()
        return ended or self._asked_to_leave()

    def _asked_to_leave(self) -> bool:
        return self._stopping() or stop_requests(self._study) > self._stops

    def _plot(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._plotted_at >= PLOT_SECONDS:
            self._plotted_at = time.monotonic()
            refresh_plots(self._study)
