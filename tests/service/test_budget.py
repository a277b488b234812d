from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from phashopt.service.budget import used_up, waiting
from phashopt.service.creation import create_study
from phashopt.service.queue import Queue
from phashopt.service.spec import Spec, StudyTable
from phashopt.service.study import CREATED_KEY


def trial(state: TrialState = TrialState.COMPLETE, macs: float = 10.0) -> FrozenTrial:
    finished = state == TrialState.COMPLETE
    return optuna.trial.create_trial(state=state, value=1.0 if finished else None, user_attrs={"train_macs": macs})


@pytest.mark.parametrize(
    ("limits", "trials", "to_come", "reason"),
    [
        ({"trials": 3}, 2, None, None),
        ({"trials": 3}, 3, None, "all 3 trials"),
        ({"trials": 9, "max_compute": 21}, 2, None, None),
        ({"trials": 9, "max_compute": 20}, 2, None, "20 of 20 MACs"),
        ({"trials": 9, "max_hours": 2}, 1, timedelta(minutes=1), None),
        ({"trials": 9, "max_hours": 2}, 1, timedelta(), "2 hours"),
    ],
)
def test_the_first_limit_reached_ends_the_study(
    limits: dict[str, float], trials: int, to_come: timedelta | None, reason: str | None
) -> None:
    table = StudyTable(name="s", **limits)
    deadline = None if to_come is None else datetime.now(UTC) + to_come
    answer = used_up(table, [trial() for _ in range(trials)], deadline)
    assert (answer is None) == (reason is None)
    assert (reason or "") in (answer or "")


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING])
def test_every_trial_made_counts(state: TrialState) -> None:
    assert used_up(StudyTable(name="s", trials=1), [trial(state)], None) is not None


def test_a_trial_handed_back_waits() -> None:
    assert waiting([trial(), trial(TrialState.WAITING)])
    assert not waiting([trial(), trial(TrialState.RUNNING)])


def test_the_hours_begin_with_the_study_whenever_its_trials_are_gone_on_with(
    url: str, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    spec = spec_of("study.max_hours=2")
    study = create_study(url, spec, tmp_path)
    queue = Queue(study, spec, url, "test")
    baseline = queue.claim()
    assert baseline is not None
    study.set_user_attr(CREATED_KEY, (datetime.now(UTC) - timedelta(hours=2)).isoformat())
    queue.hand_back(baseline)
    assert queue.claim() is not None
    assert queue.claim() is None
