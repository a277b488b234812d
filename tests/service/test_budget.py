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
    ("limits", "trials", "hours", "reason"),
    [
        ({"trials": 3}, 2, 0, None),
        ({"trials": 3}, 3, 0, "all 3 trials"),
        ({"trials": 9, "max_compute": 21}, 2, 0, None),
        ({"trials": 9, "max_compute": 20}, 2, 0, "20 of 20 MACs"),
        ({"trials": 9, "max_hours": 2}, 1, 1.9, None),
        ({"trials": 9, "max_hours": 2}, 1, 2.0, "2 hours"),
        ({"trials": 9, "max_hours": 2}, 1, -1.0, None),  # the clock was set back
    ],
)
def test_the_first_limit_reached_ends_the_study(
    limits: dict[str, float], trials: int, hours: float, reason: str | None
) -> None:
    table = StudyTable(name="s", **limits)
    answer = used_up(table, [trial() for _ in range(trials)], lambda: hours)
    assert (answer is None) == (reason is None)
    assert (reason or "") in (answer or "")


@pytest.mark.parametrize("state", [TrialState.RUNNING, TrialState.FAIL, TrialState.WAITING])
def test_every_trial_made_counts(state: TrialState) -> None:
    assert used_up(StudyTable(name="s", trials=1), [trial(state)], lambda: 0.0) is not None


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
