from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest

from phashopt.errors import UserError
from phashopt.search import PHashPruner, PHashSampler
from phashopt.service.storage import open_storage
from phashopt.service.study import delete_study, open_study, read_artifact_root, request_stop, stop_requests
from phashopt.service.summary import summarize


def test_sampler_and_pruner_are_made_from_the_spec(url: str, study: str) -> None:
    opened, _ = open_study(url, study)
    assert isinstance(opened.sampler, PHashSampler)
    assert isinstance(opened.pruner, PHashPruner)


def test_an_unknown_study_names_the_nearest(url: str, study: str) -> None:
    with pytest.raises(UserError, match=r"did you mean 'tiny'\?"):
        open_study(url, "tny")


def test_somebody_elses_study_is_refused_by_workers(url: str) -> None:
    optuna.create_study(study_name="other", storage=open_storage(url, create=True))
    with pytest.raises(UserError, match="not made by phashopt"):
        open_study(url, "other")


def test_a_spec_changed_in_the_database_is_refused(url: str, study: str) -> None:
    opened, _ = open_study(url, study)
    changed = json.loads(opened.user_attrs["spec"])
    changed["study"]["seed"] = 7
    opened.set_user_attr("spec", json.dumps(changed))
    with pytest.raises(UserError, match="reads differently here"):
        open_study(url, study)


def test_a_stop_is_counted(url: str, study: str) -> None:
    opened, _ = open_study(url, study)
    request_stop(opened)
    assert stop_requests(open_study(url, study)[0]) == 1


def test_delete_removes_the_study_and_its_files(url: str, study: str, tmp_path: Path) -> None:
    folder = tmp_path / "studies-artifacts" / study / "trial-00000"
    folder.mkdir(parents=True)
    delete_study(url, study)
    assert not folder.exists()
    assert optuna.get_all_study_names(url) == []


@pytest.mark.parametrize("name", ["..", "../elsewhere", "uploads"])
def test_deleting_never_reaches_out_of_the_root(url: str, study: str, tmp_path: Path, name: str) -> None:
    optuna.create_study(study_name=name, storage=open_storage(url))
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError):
        delete_study(url, name)
    assert (tmp_path / "elsewhere").is_dir()
    assert name in optuna.get_all_study_names(url)


def test_artifacts_are_found_where_they_were_made_and_where_they_were_moved_to(
    url: str, study: str, tmp_path: Path
) -> None:
    made = tmp_path / "studies-artifacts"
    assert read_artifact_root(open_study(url, study)[0], url) == made
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in (made, tmp_path / "studies.db"):
        path.rename(moved / path.name)
    there = f"sqlite:///{moved / 'studies.db'}"
    assert read_artifact_root(open_study(there, study)[0], there) == moved / "studies-artifacts"


def test_a_study_without_a_finished_trial_has_neither_best_nor_front(url: str, study: str) -> None:
    summary = summarize(open_study(url, study)[0])
    assert (summary.best, summary.front) == (None, [])
    assert summary.baseline is not None
    json.dumps(summary.to_json(), allow_nan=False)
