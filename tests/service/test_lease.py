from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest
from optuna import Study
from optuna.trial import TrialState

from phashopt.service.lease import LEASE_KEY, Lease, Watch


@pytest.fixture
def running(tmp_path: Path) -> Study:
    """A study with one running trial."""
    made = optuna.create_study(storage=f"sqlite:///{tmp_path / 'a.db'}")
    made.ask()
    return made


def lease_of(study: Study) -> dict[str, object]:
    found: dict[str, object] = study.trials[0].system_attrs[LEASE_KEY]
    return found


def wait_for(study: Study, count: int) -> None:
    deadline = time.monotonic() + 30
    while lease_of(study)["count"] != count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_holder_bumps_its_counter_under_one_token(running: Study) -> None:
    with Lease(running._storage, running.trials[0]._trial_id, beat=0.01):
        first = lease_of(running)["token"]
        wait_for(running, 3)
        assert lease_of(running)["token"] == first
    ended = lease_of(running)
    time.sleep(0.1)
    assert lease_of(running) == ended


def test_a_lease_is_lost_to_the_next_holder(running: Study) -> None:
    trial_id = running.trials[0]._trial_id
    with Lease(running._storage, trial_id) as first:
        assert first.held()
        with Lease(running._storage, trial_id) as second:
            assert second.held()
            assert not first.held()


@pytest.mark.parametrize("state", [TrialState.WAITING, TrialState.FAIL])
def test_a_lease_ends_with_the_trial(running: Study, state: TrialState) -> None:
    trial_id = running.trials[0]._trial_id
    with Lease(running._storage, trial_id) as lease:
        running._storage.set_trial_state_values(trial_id, state)
        assert not lease.held()


def test_a_loser_never_overwrites_the_winners_token(running: Study) -> None:
    trial_id = running.trials[0]._trial_id
    with Lease(running._storage, trial_id, beat=0.01), Lease(running._storage, trial_id, beat=0.01):
        token = lease_of(running)["token"]
        wait_for(running, 5)
        assert lease_of(running)["token"] == token


def test_a_lease_that_stands_still_expires_by_the_watchers_own_clock(running: Study) -> None:
    now = 0.0
    watch = Watch(grace=60, clock=lambda: now)
    with Lease(running._storage, running.trials[0]._trial_id):
        pass
    assert watch.expired(running.trials) == []
    now = 59.0
    assert watch.expired(running.trials) == []
    now = 60.0
    assert [trial.number for trial in watch.expired(running.trials)] == [0]


def test_a_bump_or_a_new_holder_starts_the_grace_anew(running: Study) -> None:
    now = 0.0
    watch = Watch(grace=60, clock=lambda: now)
    watch.expired(running.trials)
    now = 59.0
    with Lease(running._storage, running.trials[0]._trial_id):
        pass
    assert watch.expired(running.trials) == []
    now = 118.0
    assert watch.expired(running.trials) == []


def test_a_trial_whose_worker_died_before_its_first_lease_expires_too(running: Study) -> None:
    now = 0.0
    watch = Watch(grace=60, clock=lambda: now)
    watch.expired(running.trials)
    now = 61.0
    assert len(watch.expired(running.trials)) == 1


def test_only_running_trials_have_a_lease_to_lose(running: Study) -> None:
    running._storage.set_trial_state_values(running.trials[0]._trial_id, TrialState.WAITING)
    assert Watch(grace=0).expired(running.trials) == []
