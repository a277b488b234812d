from __future__ import annotations

import time

import optuna
import pytest
from optuna import Study
from optuna.trial import TrialState

from phashopt.service.lease import BEAT_SECONDS, Lease, Watch, read_lease
from phashopt.service.storage import open_storage


@pytest.fixture
def running(any_url: str) -> Study:
    """A study with one running trial."""
    made = optuna.create_study(storage=open_storage(any_url, create=True))
    made.ask()
    return made


def lease(study: Study, beat: float = BEAT_SECONDS) -> Lease:
    """The next holder's of its trial."""
    return Lease(study._storage, study.trials[0]._trial_id, beat=beat).take()


def lease_of(study: Study) -> dict[str, object]:
    found: dict[str, object] = read_lease(study.trials[0])
    return found


def wait_for(study: Study, count: int) -> None:
    deadline = time.monotonic() + 30
    while lease_of(study).get("count") != count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_a_holder_bumps_its_counter_under_one_token(running: Study) -> None:
    with lease(running, beat=0.01):
        first = lease_of(running)["token"]
        wait_for(running, 3)
        assert lease_of(running)["token"] == first
    ended = lease_of(running)
    time.sleep(0.1)
    assert lease_of(running) == ended


def test_a_lease_is_lost_to_the_next_holder(running: Study) -> None:
    with lease(running) as first:
        assert first.held()
        with lease(running) as second:
            assert second.held()
            assert not first.held()


@pytest.mark.parametrize("state", [TrialState.WAITING, TrialState.FAIL])
def test_a_lease_ends_with_the_trial(running: Study, state: TrialState) -> None:
    trial_id = running.trials[0]._trial_id
    with lease(running) as held:
        running._storage.set_trial_state_values(trial_id, state)
        assert not held.held()


def test_a_loser_never_overwrites_the_winners_token(running: Study) -> None:
    with lease(running, beat=0.01), lease(running, beat=0.01):
        token = lease_of(running)["token"]
        wait_for(running, 5)
        assert lease_of(running)["token"] == token


class Watcher:
    """A `Watch` with a clock set by hand."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._now = 0.0
        self._watch = Watch(grace=60, clock=lambda: self._now)

    def expired(self, *times: float) -> list[int]:
        """The numbers of the trials seen expired at the last of `times`, after a look at each."""
        for self._now in times:
            found = self._watch.expired(self._study.trials)
        return [trial.number for trial in found]


LOOKS = (0, 15, 30, 45, 59)


def test_a_lease_that_stands_still_expires_by_the_watchers_own_clock(running: Study) -> None:
    with lease(running):
        pass
    watcher = Watcher(running)
    assert watcher.expired(*LOOKS) == []
    assert watcher.expired(60) == [0]


def test_a_watcher_who_was_away_has_seen_nothing(running: Study) -> None:
    with lease(running):
        pass
    watcher = Watcher(running)
    assert watcher.expired(0, 3600) == []
    assert watcher.expired(3615, 3630, 3644) == []
    assert watcher.expired(3645) == [0]


def test_a_bump_or_a_new_holder_starts_the_grace_anew(running: Study) -> None:
    watcher = Watcher(running)
    watcher.expired(*LOOKS)
    with lease(running):
        pass
    assert watcher.expired(60, 75, 90, 105, 119) == []
    assert watcher.expired(120) == [0]


def test_a_trial_whose_worker_died_before_its_first_lease_expires_too(running: Study) -> None:
    assert Watcher(running).expired(*LOOKS, 61) == [0]


def test_only_running_trials_have_a_lease_to_lose(running: Study) -> None:
    running._storage.set_trial_state_values(running.trials[0]._trial_id, TrialState.WAITING)
    assert Watch(grace=0).expired(running.trials) == []
