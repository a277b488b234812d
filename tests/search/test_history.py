from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from phashopt.search.coding import Coding
from phashopt.search.history import ADOPTED_KEY, LONGER_KEY, ORPHANED_KEY, History, is_feasible, trial_trace
from phashopt.search.start import Start
from phashopt.trace import Epoch, Reading, Trace, write_trace

SPACE: dict[str, BaseDistribution] = {"width_00": IntDistribution(4, 64), "epochs": IntDistribution(1, 9)}
PARAMS = {"width_00": 8, "epochs": 3}
NOBODY = 10**6


@pytest.mark.parametrize(
    ("constraints", "feasible"),
    [
        ({}, True),
        ({"macs": 0.0}, True),
        ({"macs": -1.0, "params": 1e-9}, False),
        ({"macs": -1.0, "params": -2.0}, True),
    ],
)
def test_a_trial_is_feasible_if_no_constraint_is_positive(constraints: dict[str, float], feasible: bool) -> None:
    assert is_feasible(create_trial(value=1.0, constraints=constraints)) == feasible


def test_a_running_trial_is_judged_by_what_it_has_stored_so_far() -> None:
    study = optuna.create_study()
    trial = study.ask()
    assert is_feasible(study.trials[0])
    trial.set_constraint("macs", 1.0)
    assert not is_feasible(study.trials[0])


@pytest.mark.parametrize(("direction", "score"), [("maximize", 0.75), ("minimize", -0.75)])
def test_a_score_is_more_when_it_is_better(direction: str, score: float) -> None:
    study = optuna.create_study(direction=direction)
    study.add_trial(create_trial(value=0.75, params=PARAMS, distributions=SPACE))
    (record,) = History(Coding({})).read(study, NOBODY).records
    assert (record.value, record.score) == (0.75, score)


def test_readings_come_from_the_trace_and_else_from_user_attributes() -> None:
    study = optuna.create_study(direction="maximize")
    traced, told = study.ask(SPACE), study.ask(SPACE)
    write_trace(traced, Trace([Epoch(1, readings={"width_00": Reading(0.5, 0.25, 0.125)})]))
    told.set_user_attr("redundancy.width_00", 0.5)
    told.set_user_attr("redundancy.mean", 0.5)
    told.set_user_attr("dead.width_00", 0.125)
    for trial in (traced, told):
        study.tell(trial, 0.5)
    first, second = (record.readings for record in History(Coding({})).read(study, NOBODY).records)
    assert first == {"width_00": Reading(0.5, 0.25, 0.125)}
    assert list(second) == ["width_00"]
    assert (second["width_00"].redundancy, second["width_00"].dead) == (0.5, 0.125)
    assert math.isnan(second["width_00"].duplicates)


def test_points_are_those_of_every_other_trial_begun_or_planned() -> None:
    study = optuna.create_study(direction="maximize")
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        value = 0.5 if state == TrialState.COMPLETE else None
        study.add_trial(create_trial(state=state, value=value, params=PARAMS, distributions=SPACE))
    running = study.ask()
    study._storage.set_trial_system_attr(running._trial_id, "proposal", {"width_00": 16, "epochs": 4})
    study._storage.set_trial_system_attr(running._trial_id, "start", Start(3, 1.0, 0.0).note())
    running.suggest_int("width_00", 16, 16)
    study.enqueue_trial({"width_00": 32})
    past = History(Coding({})).read(study, NOBODY)
    assert past.points == [PARAMS, PARAMS, PARAMS, {"width_00": 16, "epochs": 4}, {"width_00": 32}]
    assert [trial.start for trial in past.pending] == [Start(3, 1.0, 0.0), None]
    assert len(past.records) == 1
    assert len(History(Coding({})).read(study, running.number).points) == 4


def test_distributions_are_the_latest_ones_of_what_all_complete_trials_asked_for() -> None:
    study = optuna.create_study(direction="maximize")
    other = SPACE | {"epochs": IntDistribution(1, 12), "extra": IntDistribution(0, 1)}
    study.add_trial(create_trial(value=0.5, params=PARAMS, distributions=SPACE))
    study.add_trial(create_trial(value=0.5, params=PARAMS | {"extra": 1}, distributions=other))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.add_trial(
        create_trial(state=TrialState.PRUNED, params={"epochs": 1}, distributions={"epochs": other["epochs"]})
    )
    assert History(Coding({})).read(study, NOBODY).distributions == {
        "epochs": other["epochs"],
        "width_00": SPACE["width_00"],
    }


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.RUNNING])
def test_a_parent_that_left_an_orphan_is_spent(state: TrialState) -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trial(create_trial(value=0.5, params=PARAMS, distributions=SPACE))
    orphan = study.ask(SPACE)
    study._storage.set_trial_system_attr(orphan._trial_id, ORPHANED_KEY, 0)
    if state == TrialState.COMPLETE:
        study.tell(orphan, 0.5)
    assert History(Coding({})).read(study, NOBODY).spent == {0}


@pytest.mark.parametrize("seed", range(3))
def test_what_was_read_bit_by_bit_is_what_is_read_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize")
    wide: dict[str, BaseDistribution] = {"width_00": IntDistribution(4, 128), "epochs": IntDistribution(1, 9)}
    for _ in range(12):
        trial = study.ask(wide if rng.random() < 0.5 else SPACE)
        if rng.random() < 0.2:
            study._storage.set_trial_system_attr(trial._trial_id, ORPHANED_KEY, int(rng.integers(12)))
    history = History(Coding({}))
    for number in rng.permutation(12).tolist():
        state = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)[int(rng.integers(3))]
        study.tell(number, 0.5 if state == TrialState.COMPLETE else None, state=state)
        assert history.read(study, NOBODY) == History(Coding({})).read(study, NOBODY)


def test_threads_that_read_at_once_see_every_trial_once() -> None:
    study = optuna.create_study(direction="maximize")
    for _ in range(200):
        study.add_trial(create_trial(value=0.5, params=PARAMS, distributions=SPACE))
    history, start = History(Coding({})), Barrier(4)

    def read(_: int) -> list[int]:
        start.wait()
        return [record.number for record in history.read(study, NOBODY).records]

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, range(4))) == [list(range(200))] * 4
    finally:
        sys.setswitchinterval(usual)


def test_another_study_is_read_anew() -> None:
    history = History(Coding({}))
    for value in (0.25, 0.5):
        study = optuna.create_study(direction="maximize")
        study.add_trial(create_trial(value=value, params=PARAMS, distributions=SPACE))
        assert [record.value for record in history.read(study, NOBODY).records] == [value]


def test_before_any_trial_is_finished_the_running_one_tells_the_space() -> None:
    study = optuna.create_study(direction="maximize")
    study.ask(SPACE)
    study.ask()
    assert History(Coding({})).read(study, NOBODY).distributions == SPACE


def test_a_second_reading_sees_what_the_first_could_not(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize", storage=f"sqlite:///{tmp_path / 'study.db'}")
    history = History(Coding({"width_00": [4, 8, 16]}))
    trial = study.ask({"width_00": IntDistribution(0, 2)})
    index = trial.params["width_00"]
    assert history.read(study, NOBODY).records == []
    study.tell(trial, 0.5)
    (record,) = history.read(study, NOBODY).records
    assert record.params == {"width_00": [4, 8, 16][index]}
    assert history.read(study, NOBODY).records[0] is record


@pytest.mark.parametrize(("direction", "scalar"), [("maximize", "accuracy"), ("minimize", "loss")])
def test_without_a_trace_the_reported_values_stand_in(direction: str, scalar: str) -> None:
    study = optuna.create_study(direction=direction)
    trial = create_trial(value=0.5, intermediate_values={2: 0.25, 1: 0.75})
    rows = trial_trace(trial, study.direction).epochs
    assert [(row.number, getattr(row, scalar)) for row in rows] == [(1, 0.75), (2, 0.25)]


@pytest.mark.parametrize(("used", "length"), [(5, 5), (2, 3)], ids=["extended", "finished early"])
def test_an_extended_trial_counts_as_one_of_the_length_it_had(used: int, length: int) -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trial(create_trial(value=0.5, params=PARAMS, distributions=SPACE, user_attrs={"epochs_used": used}))
    assert History(Coding({})).read(study, NOBODY).records[0].params["epochs"] == length


@pytest.mark.parametrize(("planned", "length"), [(5, 5), (None, 3)], ids=["extended", "as it was"])
def test_a_trial_that_was_stopped_counts_as_one_of_the_length_it_was_to_have(planned: int | None, length: int) -> None:
    study = optuna.create_study(direction="maximize")
    attrs = {"epochs_used": 2} | ({"epochs_planned": planned} if planned else {})
    study.add_trial(create_trial(state=TrialState.PRUNED, params=PARAMS, distributions=SPACE, user_attrs=attrs))
    assert History(Coding({})).read(study, NOBODY).stopped[0].params["epochs"] == length


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING])
def test_what_goes_on_beyond_the_range_is_as_long_as_it_was_told_to_be(state: TrialState) -> None:
    study = optuna.create_study(direction="maximize")
    value = 0.5 if state == TrialState.COMPLETE else None
    attrs = {LONGER_KEY: 18}
    study.add_trial(create_trial(state=state, value=value, params=PARAMS, distributions=SPACE, system_attrs=attrs))
    assert History(Coding({})).read(study, NOBODY).points == [{**PARAMS, "epochs": 18}]


def test_epochs_are_those_that_each_trial_of_the_study_pays_for_itself() -> None:
    """One goes on from another's stable phase, one inherits its kernels, one is another study's, one is under way."""
    study = optuna.create_study(direction="maximize")
    child = Start(9, 0.0, 0.0).note()
    trials: list[tuple[int, dict[str, Any], dict[str, Any]]] = [
        (9, {}, {}),
        (12, {"parent": 0, LONGER_KEY: 12}, {}),
        (4, {"parent": 0, "start": child}, {}),
        (7, {}, {ADOPTED_KEY: "elsewhere"}),
    ]
    for epochs, attrs, more in trials:
        given = {"epochs_used": epochs, "stable_epochs": epochs - 3, "train_macs": 10 * epochs, **more}
        study.add_trial(
            create_trial(value=0.5, params=PARAMS, distributions=SPACE, system_attrs=attrs, user_attrs=given)
        )
    study.enqueue_trial(PARAMS)
    past = History(Coding({})).read(study, NOBODY)
    assert (past.epochs, past.compute, past.planned) == (9 + (12 - 6) + 4, 10 * (9 + 12 + 4), 3)
    running = study.ask(SPACE)
    running.storage.set_trial_system_attr(running._trial_id, "parent", 1)
    running.storage.set_trial_system_attr(running._trial_id, LONGER_KEY, 20)
    assert History(Coding({})).read(study, NOBODY).planned == 20 - 9


def test_the_studys_time_begins_with_its_own_first_trial_and_ends_with_the_latest() -> None:
    study = optuna.create_study()
    moments = [datetime(2026, 6, 1, hour) for hour in range(4)]
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.WAITING, TrialState.RUNNING]
    for moment, state in zip(moments, states, strict=True):
        value = 1.0 if state == TrialState.COMPLETE else None
        trial = create_trial(state=state, value=value)
        trial.datetime_start = None if state == TrialState.WAITING else moment
        trial.user_attrs = {ADOPTED_KEY: "other"} if state == TrialState.COMPLETE else {}
        study.add_trial(trial)
    past = History(Coding({})).read(study, 3)
    assert (past.begun, past.now) == (moments[1], moments[3])


def test_what_failed_before_it_asked_would_have_been_what_was_proposed() -> None:
    study = optuna.create_study()
    for state in (TrialState.FAIL, TrialState.PRUNED):
        attrs = {"proposal": {"width_00": 8, "epochs": 5}}
        params = {"width_00": 8}
        study.add_trial(
            create_trial(state=state, params=params, distributions={"width_00": SPACE["width_00"]}, system_attrs=attrs)
        )
    failed, pruned = History(Coding({})).read(study, NOBODY).stopped
    assert failed.params == {"width_00": 8, "epochs": 5}
    assert pruned.params == {"width_00": 8}


def test_one_history_may_read_two_studies_of_the_same_trials() -> None:
    studies = [optuna.create_study(direction=direction) for direction in ("maximize", "minimize")]
    for study in studies:
        study.add_trials([create_trial(value=0.5, params=PARAMS, distributions=SPACE)] if study is studies[0] else [])
    studies[1].add_trials(studies[0].trials)
    history = History(Coding({}))
    assert [history.read(study, NOBODY).records[0].score for study in studies] == [0.5, -0.5]
