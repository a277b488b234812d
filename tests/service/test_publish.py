from __future__ import annotations

import json

import optuna
import pytest
from optuna import Study
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note

from phashopt.service import publish
from phashopt.service.publish import leave_note, refresh_plots, study_note
from phashopt.service.study import open_study


@pytest.fixture
def opened(url: str, study: str) -> Study:
    return open_study(url, study)[0]


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each time the plots are drawn."""
    made: list[object] = []

    def draw(view: object) -> dict[str, object]:
        made.append(view)
        return {}

    monkeypatch.setattr(publish, "dashboard_plots", draw)
    return made


def finish(study: Study, trials: int) -> None:
    for _ in range(trials):
        study.tell(study.ask(), state=TrialState.FAIL)


@pytest.mark.parametrize(("growth", "drawn"), [(0.0, 20), (0.1, 15)])
def test_workers_together_draw_when_enough_is_new(
    opened: Study, drawings: list[object], growth: float, drawn: int
) -> None:
    for _ in range(20):
        finish(opened, 1)
        refresh_plots(opened, growth=growth)
        refresh_plots(opened, growth=growth)
    assert len(drawings) == drawn


@pytest.fixture
def described() -> optuna.Study:
    study = optuna.create_study(study_name="digits")
    spec = {
        "data": {"dataset": "cifar10"},
        "network": {"family": "vgg", "baseline": [32, 64]},
        "limits": {"macs": 1e6, "params": None},
    }
    study.set_user_attr("spec", json.dumps(spec))
    return study


def test_the_note_says_what_is_searched_under_which_cap(described: optuna.Study) -> None:
    note = study_note(described)
    for words in ("# digits", "**vgg**", "**cifar10**", "32-64 kernels", "1,000,000 macs", "| `feasible` |"):
        assert words in note


def test_a_note_is_left_once_and_never_over_anybody_elses(described: optuna.Study) -> None:
    leave_note(described)
    assert get_note(described) == study_note(described)
    save_note(described, "mine")
    leave_note(described)
    assert get_note(described) == "mine"


def test_a_study_that_is_not_ours_has_a_note_too() -> None:
    assert "# theirs" in study_note(optuna.create_study(study_name="theirs"))
