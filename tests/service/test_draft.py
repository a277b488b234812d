from __future__ import annotations

import optuna
import pytest
from optuna import Study, Trial
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sqlalchemy import event

from phashopt.service.draft import Draft
from phashopt.service.queue import Queue
from phashopt.service.storage import open_storage
from phashopt.service.study import open_study

SPACE: dict[str, BaseDistribution] = {
    "rate": FloatDistribution(1e-3, 0.3, log=True),
    "width": IntDistribution(4, 64, step=4),
    "optimizer": CategoricalDistribution(["sgd", "adamw"]),
}
COMMIT = "-- commit"


@pytest.fixture
def empty(any_url: str) -> Study:
    return optuna.create_study(storage=open_storage(any_url, create=True), direction="maximize")


def drafted(study: Study) -> tuple[Draft, Trial]:
    draft = Draft(study._storage, study.get_trials(deepcopy=False))
    return draft, draft.ask(study, SPACE)


def test_a_new_trial_is_not_there_until_it_is_stored_and_then_whole(empty: Study) -> None:
    draft, asked = drafted(empty)
    draft.set_trial_system_attr(asked._trial_id, "decision", "a guess")
    draft.set_trial_user_attr(asked._trial_id, "attempt", 1)
    assert empty.trials == []
    stored = draft.stored(empty, asked)
    (trial,) = empty.trials
    assert trial.state == TrialState.RUNNING
    assert trial.params == asked.params == stored.params
    assert trial.distributions == SPACE
    assert (trial.system_attrs["decision"], trial.user_attrs) == ("a guess", {"attempt": 1})
    assert trial.datetime_start is not None
    empty.tell(stored, 0.5)
    assert empty.best_value == 0.5


def test_a_waiting_trial_comes_first_and_is_written_where_it_is(empty: Study) -> None:
    empty.enqueue_trial({"width": 8})
    draft, asked = drafted(empty)
    assert empty.trials[0].params == asked.params
    draft.set_trial_user_attr(asked._trial_id, "attempt", 1)
    assert draft.stored(empty, asked).number == 0
    (trial,) = empty.trials
    assert (trial.state, trial.params["width"], trial.user_attrs) == (TrialState.RUNNING, 8, {"attempt": 1})


def test_a_trial_enqueued_meanwhile_is_left_waiting(empty: Study) -> None:
    draft, asked = drafted(empty)
    empty.enqueue_trial({"width": 8})
    assert draft.stored(empty, asked).number == 1
    assert [trial.state for trial in empty.trials] == [TrialState.WAITING, TrialState.RUNNING]


@pytest.mark.parametrize("sampler", ["TPESampler", "NSGAIISampler", "RandomSampler"])
def test_a_sampler_proposes_over_a_draft_what_it_proposes_over_the_storage(url: str, sampler: str) -> None:
    study = optuna.create_study(storage=open_storage(url, create=True), direction="maximize")
    for _ in range(12):
        trial = study.ask(SPACE)
        study.tell(trial, -((trial.params["width"] - 20) ** 2))
    study.sampler = getattr(optuna.samplers, sampler)(seed=7)
    _, asked = drafted(study)
    study.sampler = getattr(optuna.samplers, sampler)(seed=7)
    assert study.ask(SPACE).params == asked.params


def test_a_claim_of_a_new_trial_reads_the_study_once_and_commits_once(url: str, study: str) -> None:
    opened, spec = open_study(url, study)
    queue = Queue(opened, spec, url, "test")
    queue.claim()  # the baseline
    log: list[str] = []
    engine = opened._storage._backend.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda *seen: log.append(seen[2]))
    event.listen(engine, "commit", lambda _: log.append(COMMIT))
    queue.claim()
    transactions = "\n".join(log).split(COMMIT)
    assert sum("INSERT" in each for each in transactions) == 1
    assert sum("trials.study_id = ?" in each and "count" not in each for each in transactions) == 1
