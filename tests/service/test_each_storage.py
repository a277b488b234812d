"""What holds whatever database a study lives in."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from optuna import Trial
from optuna.trial import TrialState

from phashopt.errors import UserError
from phashopt.service import worker as module
from phashopt.service.check import check_study
from phashopt.service.creation import create_study
from phashopt.service.lease import LEASE_KEY
from phashopt.service.objective import Hooks, Result
from phashopt.service.queue import Queue
from phashopt.service.reaper import LOST_KEY
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root
from phashopt.service.study import delete_study, open_study, request_stop
from phashopt.service.summary import StudySummary, summarize
from phashopt.service.worker import Worker
from phashopt.training.loop import Interrupted

SpecOf = Callable[..., Spec]
PROCESSES = 6
PATIENT = 3600.0  # nobody keeps these leases up, and nobody is to take them


def summary_of(url: str) -> StudySummary:
    return summarize(open_study(url, "tiny")[0])


def slept(trial: Trial) -> Result:
    return Result(accuracy=0.5, stopped=False, epochs_used=0)


def sleeper(url: str, folder: Path, label: str = "test", grace: float = 60.0) -> Worker:
    """A worker that trains nothing."""
    return Worker(url, "tiny", folder, label=label, grace=grace, make_objective=lambda *_: slept)


def claim_until_empty(url: str, start: Barrier, claimed: Any) -> None:
    study, spec = open_study(url, "tiny")
    queue = Queue(study, spec, url, "test", grace=PATIENT)
    start.wait()
    numbers = []
    while (claim := queue.claim()) is not None:
        numbers.append(claim.trial.number)
    claimed.put(numbers)


@pytest.mark.parametrize(("waiting", "budget"), [(12, 12), (1, 8)])
def test_trials_are_claimed_once_each_and_the_budget_is_met_exactly(
    any_url: str, spec_of: SpecOf, tmp_path: Path, waiting: int, budget: int
) -> None:
    spec = spec_of(f"study.trials={budget}", "search.sampler='RandomSampler'", "search.pruner='NopPruner'")
    study = create_study(any_url, spec, tmp_path)
    for _ in range(waiting - 1):
        study.enqueue_trial(spec.baseline)
    context = multiprocessing.get_context("forkserver")
    start, claimed = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=claim_until_empty, args=(any_url, start, claimed)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    numbers = [number for _ in processes for number in claimed.get()]
    for process in processes:
        process.join()
    assert sorted(numbers) == list(range(budget))
    assert Counter(trial.state for trial in study.get_trials()) == {TrialState.RUNNING: budget}


def test_a_worker_finishes_the_study_and_leaves_it_sound(any_url: str, any_study: str, tmp_path: Path) -> None:
    assert Worker(any_url, any_study, tmp_path, label="test").work().total() == 3
    study = open_study(any_url, any_study)[0]
    assert all(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials)
    assert check_study(study, artifact_root(any_url)) == []


def abandoned(url: str, lost: int) -> None:
    """The first trial as a worker leaves it that is killed: running, with a lease that stands still."""
    study, spec = open_study(url, "tiny")
    trial = study.ask(spec.space)
    trial.set_user_attr(LOST_KEY, lost)
    study._storage.set_trial_system_attr(trial._trial_id, LEASE_KEY, {"token": "gone", "count": 7, "host": None})


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look at the database all the time."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)


@pytest.mark.usefixtures("hasty")
def test_a_dead_workers_trial_is_taken_over(any_url: str, any_study: str, tmp_path: Path) -> None:
    abandoned(any_url, lost=1)
    sleeper(any_url, tmp_path, label="heir", grace=0.2).work()
    first, *others = summary_of(any_url).trials
    assert (first.number, first.state, first.attrs["worker"], first.attrs[LOST_KEY]) == (0, "COMPLETE", "heir", 2)
    assert len(others) == 2


@pytest.mark.usefixtures("hasty")
def test_a_trial_that_kills_every_worker_is_given_up_with_its_reason(
    any_url: str, any_study: str, tmp_path: Path
) -> None:
    abandoned(any_url, lost=2)
    sleeper(any_url, tmp_path, label="heir", grace=0.2).work()
    first, *_ = summary_of(any_url).trials
    assert (first.state, first.attrs["error.type"]) == ("FAIL", "WorkerLost")
    assert "vanished in each of 3 attempts" in first.attrs["error.message"]


@pytest.mark.usefixtures("hasty")
def test_the_spec_says_how_many_workers_a_trial_may_lose(any_url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(any_url, spec_of("study.max_attempts=1", "study.trials=1"), tmp_path)
    abandoned(any_url, lost=0)
    sleeper(any_url, tmp_path, grace=0.2).work()
    assert [trial.state for trial in summary_of(any_url).trials] == ["FAIL"]


class Waiting:
    """An objective that goes on until it is interrupted, doing `meanwhile` once."""

    def __init__(self, meanwhile: Callable[[int], None], hooks: Hooks) -> None:
        self._meanwhile = meanwhile
        self._hooks = hooks
        self._done = False

    def __call__(self, trial: Trial) -> Result:
        if self._done:
            return slept(trial)
        self._done = True
        self._meanwhile(trial.number)
        while not self._hooks.interrupted():
            pass
        raise Interrupted


def waiting_worker(url: str, folder: Path, meanwhile: Callable[[int], None]) -> Worker:
    return Worker(
        url, "tiny", folder, label="test", make_objective=lambda study, spec, root, hooks: Waiting(meanwhile, hooks)
    )


@pytest.mark.usefixtures("hasty")
def test_study_stop_reaches_a_running_worker(any_url: str, any_study: str, tmp_path: Path) -> None:
    worker = waiting_worker(any_url, tmp_path, lambda _: request_stop(open_study(any_url, any_study)[0]))
    assert worker.work().total() == 0
    assert [trial.state for trial in summary_of(any_url).trials] == ["WAITING"]


@pytest.mark.usefixtures("hasty")
def test_a_worker_whose_study_is_deleted_says_so(
    any_url: str, any_study: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = waiting_worker(any_url, tmp_path, lambda _: delete_study(any_url, any_study))
    with pytest.raises(UserError, match=r"^study 'tiny' was deleted$"):
        worker.work()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("hasty")
def test_a_trial_failed_by_hand_is_let_go(any_url: str, any_study: str, tmp_path: Path) -> None:
    def fail(number: int) -> None:
        open_study(any_url, any_study)[0].tell(number, state=TrialState.FAIL)

    waiting_worker(any_url, tmp_path, fail).work()
    assert [trial.state for trial in summary_of(any_url).trials] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_a_deleted_study_is_gone(any_url: str, any_study: str) -> None:
    delete_study(any_url, any_study)
    assert not (artifact_root(any_url) / any_study).exists()
