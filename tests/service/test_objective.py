from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from phashopt.search import PHashPruner, Verdict
from phashopt.service import worker as module
from phashopt.service.check import check_study
from phashopt.service.creation import create_study
from phashopt.service.events import Event, Progress
from phashopt.service.patience import StorageAwayError
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root, trial_folder
from phashopt.service.study import open_study
from phashopt.service.summary import TrialSummary, summarize
from phashopt.service.worker import Worker
from phashopt.training import run as training
from phashopt.training.files import CHECKPOINT, WEIGHTS
from phashopt.training.loop import Trainer

pytestmark = pytest.mark.usefixtures("undrawn")

EPOCHS = "training.epochs=6"


@pytest.fixture
def long_study(url: str, spec_of: Callable[..., Spec], tmp_path: Path) -> Spec:
    """Six epochs a trial."""
    spec = spec_of(EPOCHS, "search.pruner='NopPruner'")
    create_study(url, spec, tmp_path)
    return spec


def work_until_killed(url: str, folder: Path, epoch: int) -> None:
    """A worker that saves after every epoch and dies of SIGKILL in the middle of one."""
    training.CHECKPOINT_SECONDS = 0.0
    module.POLL_SECONDS = 0.0
    seen = 0

    def notify(event: Event) -> None:
        nonlocal seen
        seen = event.epoch if isinstance(event, Progress) else seen

    def stopping() -> bool:
        if seen == epoch:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    Worker(url, "tiny", folder, label="killed", notify=notify, stopping=stopping).work()


def kill_at(url: str, folder: Path, epoch: int) -> None:
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=work_until_killed, args=(url, folder, epoch))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def first_trial(url: str) -> TrialSummary:
    return summarize(open_study(url, "tiny")[0]).trials[0]


def weights(url: str) -> bytes:
    return (trial_folder(artifact_root(url), "tiny", 0) / WEIGHTS).read_bytes()


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_trial_killed_in_any_epoch_ends_as_if_nothing_had_happened(
    url: str, long_study: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    create_study(whole, long_study, tmp_path)
    Worker(whole, "tiny", tmp_path, label="whole").work(limit=1)

    kill_at(url, tmp_path, epoch)
    assert (trial_folder(artifact_root(url), "tiny", 0) / CHECKPOINT).exists()
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    Worker(url, "tiny", tmp_path, label="heir", grace=0.4).work()

    resumed, expected = first_trial(url), first_trial(whole)
    assert (resumed.state, resumed.attrs["attempt"], resumed.attrs["lost"]) == ("COMPLETE", 2, 1)
    assert (resumed.value, resumed.params) == (expected.value, expected.params)
    assert resumed.trace.to_json() == expected.trace.to_json()
    assert weights(url) == weights(whole)


def test_a_training_whose_end_could_not_be_told_is_not_trained_again(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StorageAwayError

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", away)
        with pytest.raises(StorageAwayError):
            Worker(url, study, tmp_path, label="first").work(limit=1)
    opened = open_study(url, study)[0]
    opened._storage.set_trial_state_values(opened.trials[0]._trial_id, module.TrialState.WAITING)
    trained: list[int] = []
    monkeypatch.setattr(Trainer, "train_epoch", lambda *_: trained.append(1))
    Worker(url, study, tmp_path, label="heir").work(limit=1)
    assert first_trial(url).state == "COMPLETE"
    assert not trained
    assert not (trial_folder(artifact_root(url), study, 0) / CHECKPOINT).exists()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.99])
def test_a_damaged_checkpoint_starts_the_trial_afresh(
    url: str, long_study: Spec, tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: float
) -> None:
    kill_at(url, tmp_path, 2)
    checkpoint = trial_folder(artifact_root(url), "tiny", 0) / CHECKPOINT
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(len(content) * kept)])
    study = open_study(url, "tiny")[0]
    study._storage.set_trial_state_values(study.trials[0]._trial_id, module.TrialState.WAITING)
    Worker(url, "tiny", tmp_path, label="heir").work(limit=1)
    assert (first_trial(url).state, first_trial(url).epochs_used) == ("COMPLETE", 6)
    assert "Trial 0 starts afresh: checkpoint.safetensors is no checkpoint, or a damaged one." in caplog.text


def test_a_restarted_trial_shows_its_second_course_and_pays_for_both(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([Verdict.RESTART])
    monkeypatch.setattr(PHashPruner, "verdict", lambda *_: next(verdicts, Verdict.CONTINUE))
    courses: list[float] = []

    def notify(event: Event) -> None:
        courses.extend([event.accuracy] if isinstance(event, Progress) else [])

    Worker(url, study, tmp_path, label="unlucky", notify=notify).work(limit=1)
    opened, trial = open_study(url, study)[0], first_trial(url)
    assert (trial.epochs_used, len(courses), trial.attrs["restarts"]) == (2, 3, 1)
    assert list(opened.trials[0].intermediate_values.values()) == courses[1:]
    assert trial.attrs["images_seen"] == 3 * 128
    assert trial.attrs["train_macs"] > 3 * trial.attrs["macs"] * 3 * 128
    assert check_study(opened, artifact_root(url)) == []


class AfterTwo(BasePruner):
    """Stops every trial at its second value."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """As Optuna's pruners, it looks at what the trial it is given has reported."""
        return trial.last_step == len(trial.intermediate_values) == 2


def test_anybodys_pruner_sees_every_epoch_and_stops_a_trial(
    url: str, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    create_study(url, spec_of(EPOCHS, "study.trials=1", f"search.pruner='{__name__}:AfterTwo'"), tmp_path)
    Worker(url, "tiny", tmp_path, label="test").work()
    trial = first_trial(url)
    assert (trial.state, trial.epochs_used) == ("PRUNED", 2)


@pytest.mark.parametrize("pruner", ["MedianPruner", "HyperbandPruner"])
def test_optunas_pruners_stop_trials(url: str, spec_of: Callable[..., Spec], tmp_path: Path, pruner: str) -> None:
    overrides = (
        EPOCHS,
        "study.trials=12",
        f"search.pruner='{pruner}'",
        "search.sampler='RandomSampler'",
        "data.limit=100",
    )
    create_study(url, spec_of(*overrides), tmp_path)
    Worker(url, "tiny", tmp_path, label="test").work()
    assert any(trial.state == "PRUNED" for trial in summarize(open_study(url, "tiny")[0]).trials)
