from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from phashopt.errors import UserError
from phashopt.service.creation import create_study
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root, trial_folder
from phashopt.service.study import open_study

SpecOf = Callable[..., Spec]


def test_a_new_study_holds_its_spec_and_the_waiting_baseline(url: str, study: str) -> None:
    opened, spec = open_study(url, study)
    assert json.loads(opened.user_attrs["spec"])["study"]["name"] == "tiny"
    assert opened.user_attrs["spec_hash"] == spec.hash
    (trial,) = opened.trials
    assert trial.state == optuna.trial.TrialState.WAITING
    assert trial.system_attrs["fixed_params"] == spec.baseline


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [("TPESampler", "MedianPruner"), ("RandomSampler", "NopPruner"), ("optuna.samplers:GPSampler", "HyperbandPruner")],
)
def test_optunas_own_can_be_named(url: str, spec_of: SpecOf, tmp_path: Path, sampler: str, pruner: str) -> None:
    create_study(url, spec_of(f"search.sampler='{sampler}'", f"search.pruner='{pruner}'"), tmp_path)
    opened, _ = open_study(url, "tiny")
    assert type(opened.sampler).__name__ == sampler.rpartition(":")[2]
    assert type(opened.pruner).__name__ == pruner


@pytest.mark.parametrize("fails", ["raise ValueError('no licence')", "1 / 0"])
def test_a_users_class_that_cannot_be_made_is_named(
    url: str, spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    (tmp_path / "theirs.py").write_text(
        f"import optuna\nclass Mine(optuna.samplers.RandomSampler):\n    def __init__(self):\n        {fails}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    with pytest.raises(UserError, match=r"search\.sampler: 'theirs:Mine' cannot be made"):
        create_study(url, spec_of("search.sampler='theirs:Mine'"), tmp_path)


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


def test_files_of_another_study_are_not_gone_on_with(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    """Its checkpoints would be, on images that this one holds out."""
    create_study(url, spec_of(), tmp_path)
    trial = trial_folder(artifact_root(url), "tiny", 0)
    trial.mkdir(parents=True)
    (tmp_path / "studies.db").unlink()
    with pytest.raises(UserError, match="holds files of another study; remove it"):
        create_study(url, spec_of("study.seed=3"), tmp_path)
    assert not (tmp_path / "studies.db").exists()
    create_study(url, spec_of("study.name='other'"), tmp_path)
    with pytest.raises(UserError, match="holds files of another study"):
        create_study(url, spec_of("study.seed=3"), tmp_path)
    assert trial.exists()


def test_a_taken_name_leaves_the_first_study_alone(url: str, study: str, spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is a study 'tiny' already"):
        create_study(url, spec_of("study.trials=9"), tmp_path)
    assert open_study(url, study)[1].study.trials == 3
