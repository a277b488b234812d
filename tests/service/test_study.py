from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch

from phashopt.errors import UserError
from phashopt.search import PHashPruner, PHashSampler
from phashopt.service.creation import create_study
from phashopt.service.images import check_data, load_data
from phashopt.service.spec import Spec
from phashopt.service.storage import open_storage
from phashopt.service.study import delete_study, open_study, read_artifact_root, request_stop, stop_requests
from phashopt.service.summary import summarize

SpecOf = Callable[..., Spec]


def test_a_new_study_holds_its_spec_and_the_waiting_baseline(url: str, study: str) -> None:
    opened, spec = open_study(url, study)
    assert json.loads(opened.user_attrs["spec"])["study"]["name"] == "tiny"
    assert opened.user_attrs["spec_hash"] == spec.hash
    (trial,) = opened.trials
    assert trial.state == optuna.trial.TrialState.WAITING
    assert trial.system_attrs["fixed_params"] == spec.baseline


def test_sampler_and_pruner_are_made_from_the_spec(url: str, study: str) -> None:
    opened, _ = open_study(url, study)
    assert isinstance(opened.sampler, PHashSampler)
    assert isinstance(opened.pruner, PHashPruner)


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("TPESampler", "MedianPruner"), ("RandomSampler", "NopPruner"), ("optuna.samplers:GPSampler", "HyperbandPruner")],
)
def test_optunas_own_can_be_named(url: str, spec_of: SpecOf, tmp_path: Path, sampler: str, pruner: str) -> None:
    create_study(url, spec_of(f"search.sampler='{sampler}'", f"search.pruner='{pruner}'"), tmp_path)
    opened, _ = open_study(url, "tiny")
    assert type(opened.sampler).__name__ == sampler.rpartition(":")[2]
    assert type(opened.pruner).__name__ == pruner


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.sampler='TPESampelr'", "search.sampler: there is no 'TPESampelr'"),
        ("search.sampler='os:nothing'", "there is no 'os:nothing'"),
        ("search.sampler='optuna.pruners:NopPruner'", "is no BaseSampler"),
        ("search.sampler='PartialFixedSampler'", "cannot be made from a seed alone"),
        ("search.sampler='BruteForceSampler'", "search.sampler: BruteForceSampler cannot propose"),
        ("search={sampler='TPESampler',inherit=true}", "search.inherit: sampler 'phash' alone breeds"),
        ("search={strategy='paper',inherit=true}", "search.inherit: sampler 'phash' alone breeds"),
        ("search={sampler='TPESampler',strategy='paper'}", "search.strategy is that of sampler 'phash'"),
        ("limits.macs=10", "limits.macs: the smallest network needs"),
        ("network.pools=[5]", "network.pools names layer 5"),
        ("network.pools=[0,0]", "network.pools names a layer twice"),
        ("signal.probes=99999", "signal.probes: there are"),
        ("data.dataset='folder:/no/such'", "/no/such is no folder"),
        ("data.limit=10", "too few"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    url: str, spec_of: SpecOf, tmp_path: Path, override: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        create_study(url, spec_of(override), tmp_path)
    assert not (tmp_path / "studies.db").exists()


def test_a_taken_name_leaves_the_first_study_alone(url: str, study: str, spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is a study 'tiny' already"):
        create_study(url, spec_of("study.trials=9"), tmp_path)
    assert open_study(url, study)[1].study.trials == 3


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


def test_other_images_are_refused(url: str, study: str, spec_of: SpecOf, tmp_path: Path) -> None:
    other = load_data(spec_of("data.limit=200"), tmp_path, torch.device("cpu"))
    with pytest.raises(UserError, match="not those of study 'tiny'"):
        check_data(open_study(url, study)[0], other)


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
