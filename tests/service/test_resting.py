from __future__ import annotations

from contextlib import nullcontext

import pytest

from phashopt.errors import UserError
from phashopt.service import resting
from phashopt.service.lease import Lease
from phashopt.service.resting import check_at_rest
from phashopt.service.study import open_study


@pytest.mark.parametrize(("beat", "lives"), [(0.02, True), (60.0, False)])
def test_a_study_rests_unless_a_running_trial_has_a_worker_that_lives(
    url: str, study: str, monkeypatch: pytest.MonkeyPatch, beat: float, lives: bool
) -> None:
    monkeypatch.setattr(resting, "WAIT_SECONDS", 0.3)
    opened = open_study(url, study)[0]
    refused = pytest.raises(UserError, match="1 trial of 'tiny' is running; 'study stop tiny' first")
    with Lease(opened._storage, opened.ask()._trial_id, beat=beat).take(), refused if lives else nullcontext():
        check_at_rest(opened)


def test_a_study_without_running_trials_is_not_waited_for(
    url: str, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("time.sleep")
    check_at_rest(open_study(url, study)[0])
