from __future__ import annotations

from pathlib import Path

import pytest
from optuna import Study
from optuna.artifacts import get_all_artifact_meta

from phashopt.errors import UserError
from phashopt.service.storage import uploads_folder
from phashopt.service.study import open_study
from phashopt.service.uploads import attach


@pytest.fixture
def opened(url: str, study: str) -> Study:
    return open_study(url, study)[0]


def test_a_second_attempt_attaches_nothing_twice(opened: Study, tmp_path: Path) -> None:
    trial_id = opened.ask()._trial_id
    for content in (b"first", b"second"):
        attach(opened._storage, trial_id, [("error.log", content)], tmp_path)
    (meta,) = get_all_artifact_meta(opened.trials[0], storage=opened._storage)
    assert (uploads_folder(tmp_path) / meta.artifact_id).read_bytes() == b"first"


def test_an_attachment_that_was_cut_short_is_made_again(opened: Study, tmp_path: Path) -> None:
    trial_id = opened.ask()._trial_id
    attach(opened._storage, trial_id, [("error.log", b"first")], tmp_path)
    for path in uploads_folder(tmp_path).iterdir():
        path.unlink()
    attach(opened._storage, trial_id, [("error.log", b"second")], tmp_path)
    assert [path.read_bytes() for path in uploads_folder(tmp_path).iterdir()] == [b"second"]


def test_an_artifact_that_names_a_path_is_refused(opened: Study, tmp_path: Path) -> None:
    trial_id = opened.ask()._trial_id
    forged = '{"artifact_id": "../../secret", "filename": "x", "mimetype": "text/plain", "encoding": null}'
    opened._storage.set_trial_system_attr(trial_id, "artifacts:../../secret", forged)
    with pytest.raises(UserError, match="no name of a file"):
        attach(opened._storage, trial_id, [("error.log", b"text")], tmp_path)
