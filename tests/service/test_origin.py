from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optuna import Study
from optuna.trial import FrozenTrial, create_trial

from phashopt.networks import inherit
from phashopt.search import PARENT_KEY, START_KEY, Start
from phashopt.service.check import check_study
from phashopt.service.origin import FITTED_ON, extended, origin
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root, trial_folder
from phashopt.service.study import create_study, load_data, open_study
from phashopt.service.summary import summarize_trial
from phashopt.service.worker import Worker
from phashopt.training.data import DataSet
from phashopt.training.run import STABLE
from phashopt.training.weights import WEIGHTS, load_weights

WIDTHS = [8, 2]
BATCH = 128  # one fits into an epoch


@pytest.fixture
def spec(spec_of: Callable[..., Spec]) -> Spec:
    return spec_of("search.inherit=true", "study.trials=8")


@pytest.fixture
def parented(url: str, spec: Spec, tmp_path: Path) -> Study:
    """One trial is finished."""
    create_study(url, spec, tmp_path)
    Worker(url, "tiny", tmp_path, label="parent").work(limit=1)
    return open_study(url, "tiny")[0]


@pytest.fixture
def data(spec: Spec, tmp_path: Path) -> DataSet:
    return load_data(spec, tmp_path, torch.device("cpu"))


def _child(study: Study, widths: list[int]) -> FrozenTrial:
    """Of the first trial."""
    params = study.trials[0].params | dict(zip(("width_00", "width_01"), widths, strict=True))
    notes = {PARENT_KEY: 0, START_KEY: Start(2, 1.0, 1.0).note()}
    study.add_trial(
        create_trial(params=params, distributions=study.trials[0].distributions, value=0.0, system_attrs=notes)
    )
    return study.trials[-1]


def test_a_child_begins_with_its_parents_kernels(parented: Study, spec: Spec, data: DataSet, url: str) -> None:
    root = artifact_root(url)
    found = origin(parented, _child(parented, WIDTHS), spec, data, root)
    same = spec.blueprint([4, 6], data.shape, len(data.classes))
    parent = origin(parented, parented.trials[0], spec, data, root).network(0)
    assert parent.blueprint == same
    parent = load_weights(trial_folder(root, "tiny", 0), parent)
    images = data.train.standardise(data.train.pixels[:FITTED_ON])
    expected = inherit(parent, WIDTHS, images, seed=3).state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in found.network(3).state_dict().items())
    assert found.images == parented.trials[0].user_attrs["images_seen"]
    assert found.macs == len(images) * (parent.blueprint.cost.macs + found.network(3).blueprint.cost.macs)


def test_a_parent_without_weights_leaves_no_child(
    parented: Study, spec: Spec, data: DataSet, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    (trial_folder(artifact_root(url), "tiny", 0) / WEIGHTS).unlink()
    parented.enqueue_trial({"width_00": 8, "width_01": 2})
    child = parented.ask(spec.space)
    parented._storage.set_trial_system_attr(child._trial_id, PARENT_KEY, 0)
    parented._storage.set_trial_system_attr(child._trial_id, START_KEY, [2, 1.0, 1.0])
    stored = parented._storage.get_trial(child._trial_id)
    found = origin(parented, stored, spec, data, artifact_root(url))
    assert found.macs == 0
    assert Start.read(parented._storage.get_trial(child._trial_id).system_attrs) is None
    assert "Trial 1: trial 0 left no kernels to inherit" in caplog.text


def test_the_same_network_goes_on_and_is_no_child(parented: Study, spec: Spec, data: DataSet, url: str) -> None:
    root, longer = artifact_root(url), _child(parented, [4, 6])
    assert extended(parented, longer, spec, root) == trial_folder(root, "tiny", 0) / STABLE
    assert origin(parented, longer, spec, data, root).macs == 0
    assert extended(parented, _child(parented, WIDTHS), spec, root) is None


def test_a_study_that_inherits_trains_children_and_pays_for_the_making(
    parented: Study, spec: Spec, data: DataSet, url: str, tmp_path: Path
) -> None:
    Worker(url, "tiny", tmp_path, label="heir").work()
    children = [trial for trial in parented.trials if Start.read(trial.system_attrs)]
    assert children
    for child in children:
        attrs, begun = child.user_attrs, origin(parented, child, spec, data, artifact_root(url))
        own = attrs["images_seen"] - begun.images
        assert own == BATCH * attrs["epochs_used"]
        assert attrs["train_macs"] > begun.macs + 3 * attrs["macs"] * own
        assert begun.macs > 0
        line = summarize_trial(child, {})
        assert BATCH * (line.epochs_used + line.epochs_inherited) == attrs["images_seen"]
    assert check_study(parented, artifact_root(url)) == []
