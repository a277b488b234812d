from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna import Study, Trial
from optuna.trial import TrialState, create_trial

from phashopt.errors import UserError
from phashopt.service import check
from phashopt.service.check import check_study
from phashopt.service.lease import Lease
from phashopt.service.objective import Result
from phashopt.service.storage import artifact_root, open_storage, trial_folder, uploads_folder
from phashopt.service.study import open_study
from phashopt.service.worker import Worker
from phashopt.training.files import WEIGHTS


@pytest.fixture
def finished(url: str, study: str, tmp_path: Path) -> Study:
    """Three trials, the second failed with its log."""

    def end(trial: Trial) -> Result:
        if trial.number == 1:
            raise RuntimeError("broken")
        return Result(accuracy=0.5, stopped=False, epochs_used=0)

    Worker(url, study, tmp_path, label="test", make_objective=lambda *_: end).work()
    return open_study(url, study)[0]


def findings(url: str, study: Study) -> list[str]:
    return check_study(study, artifact_root(url))


def test_a_finished_study_is_sound(url: str, finished: Study) -> None:
    assert findings(url, finished) == []


def test_a_new_study_is_sound(url: str, study: str) -> None:
    assert findings(url, open_study(url, study)[0]) == []


def one_trial_too_many(study: Study, root: Path) -> None:
    study.enqueue_trial({})


def a_value_that_is_no_accuracy(study: Study, root: Path) -> None:
    params = study.trials[0].params
    study.add_trial(create_trial(value=7.0, params=params, distributions=study.trials[0].distributions))


def parameters_off_the_grid(study: Study, root: Path) -> None:
    study.add_trial(create_trial(value=0.5))


def a_lost_log(study: Study, root: Path) -> None:
    for path in uploads_folder(root).iterdir():
        path.unlink()


def damaged_weights(study: Study, root: Path) -> None:
    folder = trial_folder(root, study.study_name, 0)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(b"half of a file")


def a_best_trial_without_weights(study: Study, root: Path) -> None:
    first = study.trials[0]
    study.add_trial(
        create_trial(value=0.9, params=first.params, distributions=first.distributions, user_attrs={"images_seen": 9})
    )


def a_changed_spec(study: Study, root: Path) -> None:
    study.set_user_attr("spec_hash", "another")


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (one_trial_too_many, "there are 4 trials, but the budget is 3"),
        (a_value_that_is_no_accuracy, "trial 3 is COMPLETE, but its accuracy is 7.0"),
        (parameters_off_the_grid, "trial 3 has parameters that the spec does not allow: {}"),
        (a_lost_log, "trial 1 lacks its attached error.log"),
        (damaged_weights, "trial 0 has a damaged file, weights.safetensors"),
        (a_best_trial_without_weights, "trial 3 is the best, but its weights are gone"),
        (a_changed_spec, "reads differently here"),
    ],
)
def test_what_does_not_agree_is_named(
    url: str, finished: Study, damage: Callable[[Study, Path], None], finding: str
) -> None:
    damage(finished, artifact_root(url))
    assert any(finding in line for line in findings(url, finished))


@pytest.mark.parametrize(("beat", "expected"), [(0.02, []), (60.0, ["trial 0 is running, but its worker is not"])])
def test_a_running_trial_must_be_heard_of(
    url: str, study: str, monkeypatch: pytest.MonkeyPatch, beat: float, expected: list[str]
) -> None:
    monkeypatch.setattr(check, "WAIT_SECONDS", 0.5)
    opened = open_study(url, study)[0]
    with Lease(opened._storage, opened.ask()._trial_id, beat=beat).take():
        found = findings(url, opened)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


def test_a_study_of_somebody_elses_is_not_checked(url: str, study: str) -> None:
    other = optuna.create_study(study_name="plain", storage=open_storage(url))
    with pytest.raises(UserError, match="'plain' was not made by phashopt"):
        findings(url, other)


def test_a_trial_failed_by_hand_needs_no_reason(url: str, study: str) -> None:
    opened = open_study(url, study)[0]
    opened.tell(opened.ask(), state=TrialState.FAIL)
    assert findings(url, opened) == []
