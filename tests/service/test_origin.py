from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from optuna import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from phashopt.networks import inherit, inherit_macs
from phashopt.search import LONGER_KEY, NO_PARENT, ORPHANED_KEY, PARENT_KEY, START_KEY, PHashPruner, Start, Verdict
from phashopt.service.check import check_study
from phashopt.service.creation import create_study
from phashopt.service.events import Progress
from phashopt.service.images import load_data
from phashopt.service.origin import FITTED_ON, children, extended, origin
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root, trial_folder
from phashopt.service.study import open_study
from phashopt.service.summary import summarize_trial
from phashopt.service.worker import Worker
from phashopt.training import run
from phashopt.training.data import DataSet, sample
from phashopt.training.files import STABLE, WEIGHTS
from phashopt.training.weights import load_weights

pytestmark = pytest.mark.usefixtures("undrawn")

WIDTHS = [8, 2]
START = Start(2, 1.0, 1.0)
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


def _child(study: Study, widths: list[int], start: Start | None = START) -> FrozenTrial:
    """Of the first trial, or what goes on with it, without a start."""
    params = study.trials[0].params | dict(zip(("width_00", "width_01"), widths, strict=True))
    notes = {PARENT_KEY: 0, START_KEY: start.note() if start else None}
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
    images = data.train.standardise(sample(data.train, FITTED_ON))
    expected = inherit(parent, WIDTHS, images, seed=3).state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in found.network(3).state_dict().items())
    assert found.images == parented.trials[0].user_attrs["images_seen"]
    assert found.macs == inherit_macs(parent.blueprint, WIDTHS, len(images))


def _claimed(study: Study, parent: int, **changes: int) -> int:
    """The number of a waiting child of `parent`, or of what goes on from it, as a worker hands one back."""
    params = study.trials[0].params | {"width_00": 8, "width_01": 2} | changes
    notes = {PARENT_KEY: parent, START_KEY: START.note(), "decision": "as it was"}
    distributions = study.trials[0].distributions
    study.add_trial(
        create_trial(state=TrialState.WAITING, params=params, distributions=distributions, system_attrs=notes)
    )
    return len(study.trials) - 1


def _work(url: str, folder: Path, **settings: Callable[..., object]) -> None:
    Worker(url, "tiny", folder, label="heir", **settings).work(limit=1)


def _weights(url: str, number: int = 0) -> Path:
    return trial_folder(artifact_root(url), "tiny", number) / WEIGHTS


def test_a_parent_without_weights_leaves_no_child(
    parented: Study, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _weights(url).unlink()
    number = _claimed(parented, 0)
    _work(url, tmp_path)
    trial = parented.trials[number]
    assert trial.state == TrialState.COMPLETE
    assert Start.read(trial.system_attrs) is None
    assert trial.system_attrs[PARENT_KEY] == trial.user_attrs["parent"] == NO_PARENT
    assert trial.system_attrs[ORPHANED_KEY] == 0
    assert trial.user_attrs["images_seen"] == BATCH * trial.user_attrs["epochs_used"]
    assert "Trial 1 starts from scratch: trial 0 left no kernels to inherit" in caplog.text


def test_a_child_that_is_to_start_again_without_its_parents_weights_starts_from_scratch(
    parented: Study, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([Verdict.RESTART])

    def verdict(*_: object) -> Verdict:
        _weights(url).unlink(missing_ok=True)
        return next(verdicts, Verdict.CONTINUE)

    monkeypatch.setattr(PHashPruner, "verdict", verdict)
    number = _claimed(parented, 0)
    _work(url, tmp_path)
    trial = parented.trials[number]
    assert trial.state == TrialState.COMPLETE
    assert (Start.read(trial.system_attrs), trial.system_attrs[ORPHANED_KEY]) == (None, 0)
    assert trial.user_attrs["images_seen"] == BATCH * trial.user_attrs["epochs_used"]


def test_a_child_that_was_handed_back_needs_its_parent_no_more(
    parented: Study, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CHECKPOINT_SECONDS", 0.0)
    number, seen = _claimed(parented, 0), []
    _work(url, tmp_path, notify=seen.append, stopping=lambda: any(isinstance(event, Progress) for event in seen))
    assert parented.trials[number].state == TrialState.WAITING
    _weights(url).unlink()
    _work(url, tmp_path)
    trial = parented.trials[number]
    assert trial.state == TrialState.COMPLETE
    assert Start.read(trial.system_attrs) == START
    assert trial.user_attrs["images_seen"] == 2 * BATCH + parented.trials[0].user_attrs["images_seen"]


def test_a_parent_that_phashopt_did_not_train_leaves_no_child(
    parented: Study, spec: Spec, url: str, tmp_path: Path
) -> None:
    first = parented.trials[0]
    parented.add_trial(create_trial(value=0.9, params=first.params, distributions=first.distributions))
    number = _claimed(parented, 1)
    _work(url, tmp_path)
    assert parented.trials[number].state == TrialState.COMPLETE
    assert Start.read(parented.trials[number].system_attrs) is None


@pytest.mark.parametrize("kept", [True, False])
def test_what_goes_on_from_a_child_has_its_kernels_whether_its_stable_phase_was_kept_or_not(
    parented: Study, url: str, tmp_path: Path, kept: bool
) -> None:
    child = _claimed(parented, 0, epochs=1)
    _work(url, tmp_path)
    if not kept:
        (trial_folder(artifact_root(url), "tiny", child) / STABLE).unlink(missing_ok=True)
    longer = _claimed(parented, child, epochs=2)
    _work(url, tmp_path)
    trial = parented.trials[longer]
    assert Start.read(trial.system_attrs) == START
    assert trial.user_attrs["images_seen"] == 2 * BATCH + parented.trials[0].user_attrs["images_seen"]


def test_a_child_and_what_goes_on_from_it_begin_with_the_same_kernels_while_these_are_kept(
    parented: Study, spec: Spec, data: DataSet, url: str
) -> None:
    child = _claimed(parented, 0)
    longer = _claimed(parented, child)
    begun = children(parented, [0, child, longer], spec, data, artifact_root(url))
    assert begun.keys() == {child, longer}
    first, second = (begun[number].network(3).state_dict() for number in (child, longer))
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())
    _weights(url).unlink()
    assert not children(parented, [child, longer], spec, data, artifact_root(url))


def test_the_same_network_goes_on_and_is_no_child(parented: Study, spec: Spec, data: DataSet, url: str) -> None:
    root, longer = artifact_root(url), _child(parented, [4, 6], start=None)
    assert extended(parented, longer, root) == trial_folder(root, "tiny", 0) / STABLE
    assert origin(parented, longer, spec, data, root).images == 0
    assert extended(parented, _child(parented, WIDTHS), root) is None


def test_a_child_of_the_same_widths_begins_where_its_parent_ended_and_pays_for_nothing_but_its_training(
    parented: Study, spec: Spec, data: DataSet, url: str
) -> None:
    root, child = artifact_root(url), _child(parented, [4, 6], Start(2, 0.0, 0.0))
    assert extended(parented, child, root) is None
    begun = origin(parented, child, spec, data, root)
    ended = load_weights(
        trial_folder(root, "tiny", 0), origin(parented, parented.trials[0], spec, data, root).network(0)
    )
    first = begun.network(3).state_dict()
    assert all(torch.equal(first[name], tensor) for name, tensor in ended.state_dict().items())
    assert begun.macs == 0
    assert begun.images == parented.trials[0].user_attrs["images_seen"]
    assert children(parented, [child.number], spec, data, root).keys() == {child.number}


def test_what_goes_on_beyond_the_range_is_trained_for_so_long_and_pays_for_what_is_added(
    parented: Study, url: str, tmp_path: Path
) -> None:
    first = parented.trials[0]
    longer, stable = 5 * first.params["epochs"], first.user_attrs["stable_epochs"]
    notes = {PARENT_KEY: 0, LONGER_KEY: longer}
    waiting = create_trial(
        state=TrialState.WAITING, params=first.params, distributions=first.distributions, system_attrs=notes
    )
    parented.add_trial(waiting)
    _work(url, tmp_path)
    attrs = parented.trials[1].user_attrs
    assert attrs["epochs_used"] == longer
    assert attrs["images_seen"] == longer * BATCH
    paid = 3 * attrs["macs"] * BATCH * (longer - stable)
    assert paid < attrs["train_macs"] < paid + 3 * attrs["macs"] * BATCH * stable
    assert check_study(parented, artifact_root(url)) == []


def test_a_study_that_inherits_trains_children_and_pays_for_the_making(
    parented: Study, spec: Spec, data: DataSet, url: str, tmp_path: Path
) -> None:
    Worker(url, "tiny", tmp_path, label="heir").work()
    born = [trial for trial in parented.trials if Start.read(trial.system_attrs)]
    assert born
    for child in born:
        attrs, begun = child.user_attrs, origin(parented, child, spec, data, artifact_root(url))
        own = attrs["images_seen"] - begun.images
        assert own == BATCH * attrs["epochs_used"]
        assert attrs["train_macs"] > begun.macs + 3 * attrs["macs"] * own
        assert bool(begun.macs) is bool(Start.read(child.system_attrs).down)
        line = summarize_trial(child, {})
        assert BATCH * (line.epochs_used + line.epochs_inherited) == attrs["images_seen"]
    assert check_study(parented, artifact_root(url)) == []
