from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from phashopt.errors import DataError
from phashopt.service import worker as module
from phashopt.service.objective import Progress
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root, trial_folder, uploads_folder
from phashopt.service.study import create_study, delete_study, open_study, request_stop
from phashopt.service.summary import StudySummary, summarize
from phashopt.service.worker import Ended, Event, TooManyFailuresError, Worker
from phashopt.training import run as training
from phashopt.training.run import CHECKPOINT
from phashopt.training.snapshot import Snapshot

SpecOf = Callable[..., Spec]


def summary_of(url: str) -> StudySummary:
    return summarize(open_study(url, "tiny")[0])


@pytest.fixture
def done(url: str, study: str, tmp_path: Path) -> StudySummary:
    """The tiny study after one worker has finished it."""
    Worker(url, study, tmp_path, label="test").work()
    return summary_of(url)


def test_a_worker_spends_the_budget_exactly(done: StudySummary) -> None:
    assert [trial.state in ("COMPLETE", "PRUNED") for trial in done.trials] == [True] * 3


def test_the_baseline_comes_first_and_says_so(done: StudySummary) -> None:
    assert done.baseline is done.trials[0]
    assert done.baseline.attrs["kernels"] == "4-6"
    assert done.baseline.decision.startswith("The network before adjustment")


def test_every_trial_leaves_its_numbers(done: StudySummary) -> None:
    for trial in done.trials:
        expected = {"macs", "params", "epochs_used", "images_seen", "train_macs", "train_seconds", "signal_seconds"}
        expected |= {f"{quantity}.width_{index:02d}" for quantity in ("duplicates", "dead") for index in (0, 1)}
        expected |= {"decision", "parent", "worker", "device", "attempt", "feasible", "kernels"}
        assert expected <= trial.attrs.keys()
        assert len(trial.trace.epochs) == trial.epochs_used
        assert trial.decision


def test_constraints_and_feasibility_agree(done: StudySummary) -> None:
    for trial in done.trials:
        assert trial.feasible == trial.attrs["feasible"] == (trial.attrs["macs"] <= 20_000)


def test_pictures_and_table_are_attached(done: StudySummary, url: str) -> None:
    study = open_study(url, "tiny")[0]
    names = [meta.filename for meta in optuna.artifacts.get_all_artifact_meta(study.trials[0], storage=study._storage)]
    assert sorted(names) == ["layers.csv", "maps.width_00.png", "maps.width_01.png", "similarity.png"]
    files = list(uploads_folder(artifact_root(url)).iterdir())
    assert len(files) == 4 * len(done.trials)


def test_deleting_the_study_removes_every_file(done: StudySummary, url: str) -> None:
    delete_study(url, "tiny")
    assert [path for path in artifact_root(url).rglob("*") if path.is_file()] == []


def test_the_dashboard_gets_the_studys_plots(done: StudySummary, url: str) -> None:
    study = open_study(url, "tiny")[0]
    keys = " ".join(study._storage.get_study_system_attrs(study._study_id))
    assert all(
        name in keys for name in ("phashopt-accuracy-against-macs", "phashopt-widths-1", "phashopt-redundancy-1")
    )


def test_a_snapshot_shows_every_layer(done: StudySummary, url: str) -> None:
    snapshot = Snapshot.load(trial_folder(artifact_root(url), "tiny", 0))
    assert {name: layer.maps.shape for name, layer in snapshot.layers.items()} == {
        "width_00": (4, 1, 8, 8),
        "width_01": (6, 1, 8, 8),
    }


def test_a_limit_leaves_the_rest_to_others(url: str, study: str, tmp_path: Path) -> None:
    assert Worker(url, study, tmp_path, label="test").work(limit=2).total() == 2
    assert len(summary_of(url).trials) == 2


def leaving(url: str, folder: Path, after: int) -> Worker:
    """A worker that is asked to leave after so many epochs."""
    epochs: list[Event] = []

    def notify(event: Event) -> None:
        if isinstance(event, Progress):
            epochs.append(event)

    return Worker(url, "tiny", folder, label="leaving", stopping=lambda: len(epochs) >= after, notify=notify)


def test_an_interrupted_trial_goes_on_as_if_nothing_had_happened(
    url: str, study: str, spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    create_study(whole, spec_of(), tmp_path)
    Worker(whole, study, tmp_path, label="whole").work(limit=1)

    leaving(url, tmp_path, after=1).work()
    (handed_back,) = summary_of(url).trials
    assert handed_back.state == "WAITING"
    assert (trial_folder(artifact_root(url), study, 0) / CHECKPOINT).exists()

    Worker(url, study, tmp_path, label="rest").work(limit=1)
    resumed, expected = summary_of(url).trials[0], summary_of(whole).trials[0]
    assert resumed.attrs["attempt"] == 2
    assert (resumed.number, resumed.value, resumed.params) == (0, expected.value, expected.params)
    assert resumed.trace.to_json() == expected.trace.to_json()


def test_a_proposed_trial_keeps_its_decision_when_handed_back(url: str, study: str, tmp_path: Path) -> None:
    Worker(url, study, tmp_path, label="first").work(limit=1)
    leaving(url, tmp_path, after=1).work()
    before = open_study(url, study)[0].trials[1]
    assert before.state == TrialState.WAITING
    Worker(url, study, tmp_path, label="rest").work()
    after = open_study(url, study)[0].trials[1]
    assert after.params == before.params
    assert after.system_attrs["decision"] == before.system_attrs["decision"]


def test_study_stop_reaches_a_running_worker(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)

    def notify(event: Event) -> None:
        if isinstance(event, Progress):
            request_stop(open_study(url, study)[0])

    ends = Worker(url, study, tmp_path, label="test", notify=notify).work()
    assert ends.total() == 0
    assert [trial.state for trial in summary_of(url).trials] == ["WAITING"]
    assert Worker(url, study, tmp_path, label="later").work().total() == 3


def test_a_trial_failed_by_hand_is_let_go(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
    failed: list[int] = []

    def notify(event: Event) -> None:
        if isinstance(event, Progress) and not failed:
            failed.append(event.trial)
            open_study(url, study)[0].tell(event.trial, state=TrialState.FAIL)

    Worker(url, study, tmp_path, label="test", notify=notify).work()
    states = [trial.state for trial in summary_of(url).trials]
    assert states[0] == "FAIL"
    assert len(states) == 3
    assert set(states[1:]) <= {"COMPLETE", "PRUNED"}


def test_a_loss_that_is_no_number_fails_the_trial_with_its_epoch(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("training.learning_rate=1e30", "study.trials=1", "search.pruner='NopPruner'"), tmp_path)
    heard: list[Event] = []
    Worker(url, "tiny", tmp_path, label="test", notify=heard.append).work()
    (trial,) = summary_of(url).trials
    assert (trial.state, trial.attrs["error.type"]) == ("FAIL", "Diverged")
    assert "NaN or infinite in epoch 1" in trial.attrs["error.message"]
    assert isinstance(heard[-1], Ended)


def test_failure_after_failure_stops_the_worker(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    overrides = ("training.learning_rate=1e30", "study.trials=9", "search.pruner='NopPruner'")
    create_study(url, spec_of(*overrides), tmp_path)
    with pytest.raises(TooManyFailuresError, match="3 trials failed in a row"):
        Worker(url, "tiny", tmp_path, label="test").work()
    assert len(summary_of(url).trials) == 3


def test_data_that_breaks_in_mid_study_stops_every_worker(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(url, study, tmp_path, label="test")

    def broken(_: object) -> None:
        raise DataError("photos/cat.png cannot be read")

    monkeypatch.setattr(worker, "_objective", broken)
    with pytest.raises(DataError, match=r"cat\.png"):
        worker.work()
    assert summary_of(url).trials[0].attrs["error.message"] == "photos/cat.png cannot be read"
    assert open_study(url, study)[0].user_attrs["stops_requested"] == 1


@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_other_samplers_draw_anew_for_every_trial(url: str, spec_of: SpecOf, tmp_path: Path, sampler: str) -> None:
    create_study(url, spec_of(f"search.sampler='{sampler}'"), tmp_path)
    for _ in range(3):
        Worker(url, "tiny", tmp_path, label="test").work(limit=1)
    trials = summary_of(url).trials
    assert trials[1].params != trials[2].params
    assert sampler in trials[1].decision
    assert not math.isnan(trials[1].value or math.nan)


def test_listed_widths_are_shown_as_kernel_counts(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("network.widths={values=[2,4,6]}"), tmp_path)
    Worker(url, "tiny", tmp_path, label="test").work()
    for trial in summary_of(url).trials:
        widths = [trial.params["width_00"], trial.params["width_01"]]
        assert "-".join(map(str, widths)) == trial.attrs["kernels"]


def abandoned(url: str, attempts: int) -> None:
    """The first trial as a worker leaves it that is killed: running, with a lease that stands still."""
    study, spec = open_study(url, "tiny")
    trial = study.ask(spec.space)
    trial.set_user_attr("attempt", attempts)
    study._storage.set_trial_system_attr(trial._trial_id, "lease", {"token": "gone", "count": 7})


def test_a_dead_workers_trial_is_taken_over(url: str, study: str, tmp_path: Path) -> None:
    abandoned(url, attempts=1)
    Worker(url, study, tmp_path, label="heir", grace=0.5).work()
    first, *others = summary_of(url).trials
    assert (first.number, first.state, first.attrs["attempt"], first.attrs["worker"]) == (0, "COMPLETE", 2, "heir")
    assert len(others) == 2


def test_a_trial_that_kills_every_worker_is_given_up_with_its_reason(url: str, study: str, tmp_path: Path) -> None:
    abandoned(url, attempts=3)
    Worker(url, study, tmp_path, label="heir", grace=0.5).work()
    first, *_ = summary_of(url).trials
    assert (first.state, first.attrs["error.type"]) == ("FAIL", "WorkerLost")
    assert "vanished in each of 3 attempts" in first.attrs["error.message"]


def test_a_worker_whose_trial_was_taken_over_lets_it_go(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
    robbed: list[int] = []

    def notify(event: Event) -> None:
        if isinstance(event, Progress) and not robbed:
            robbed.append(event.trial)
            opened = open_study(url, study)[0]
            trial_id = opened.trials[event.trial]._trial_id
            opened._storage.set_trial_system_attr(trial_id, "lease", {"token": "thief", "count": 0})

    heard: list[Event] = []
    worker = Worker(
        url, study, tmp_path, label="test", notify=lambda event: (notify(event), heard.append(event)), grace=1
    )
    worker.work()
    lost = next(event for event in heard if isinstance(event, Ended))
    assert (lost.trial, lost.message) == (robbed[0], "no longer this worker's")
    assert all(trial.state in ("COMPLETE", "PRUNED") for trial in summary_of(url).trials)
