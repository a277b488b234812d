from __future__ import annotations

import json

import optuna
import pytest
from optuna_dashboard import get_note, save_note

from phashopt.service.publish import leave_note, study_note


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(study_name="digits")
    spec = {
        "data": {"dataset": "cifar10"},
        "network": {"family": "vgg", "baseline": [32, 64]},
        "limits": {"macs": 1e6, "params": None},
    }
    study.set_user_attr("spec", json.dumps(spec))
    return study


def test_the_note_says_what_is_searched_under_which_cap(study: optuna.Study) -> None:
    note = study_note(study)
    for words in ("# digits", "**vgg**", "**cifar10**", "32-64 kernels", "1,000,000 macs", "| `feasible` |"):
        assert words in note


def test_a_note_is_left_once_and_never_over_anybody_elses(study: optuna.Study) -> None:
    leave_note(study)
    assert get_note(study) == study_note(study)
    save_note(study, "mine")
    leave_note(study)
    assert get_note(study) == "mine"


def test_a_study_that_is_not_ours_has_a_note_too() -> None:
    assert "# theirs" in study_note(optuna.create_study(study_name="theirs"))
