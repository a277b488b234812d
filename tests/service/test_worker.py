from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import optuna
import pytest
import torch
from optuna import Trial
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event

from phashopt.errors import DataError, UserError
from phashopt.search import ADOPTED_KEY
from phashopt.service import reaper
from phashopt.service import worker as module
from phashopt.service.creation import create_study
from phashopt.service.events import Ended, Event, Progress
from phashopt.service.lease import Lease
from phashopt.service.objective import Result
from phashopt.service.spec import Spec, load_spec
from phashopt.service.storage import artifact_root, trial_folder, uploads_folder
from phashopt.service.study import delete_study, open_study, request_stop
from phashopt.service.summary import StudySummary, TrialSummary, summarize
from phashopt.service.worker import TooManyFailuresError, Worker
from phashopt.training import run as training
from phashopt.training.files import CHECKPOINT
from phashopt.training.loop import Diverged
from phashopt.training.snapshot import Snapshot

SpecOf = Callable[..., Spec]


def summary_of(url: str) -> StudySummary:
    return summarize(open_study(url, "tiny")[0])


class Done(NamedTuple):
    """A study of real trials with all they leave, in a database of its own."""

    url: str
    trials: list[TrialSummary]


def done_in(folder: Path, spec: str) -> Done:
    """The study of `spec` after one worker has finished it."""
    (folder / "tiny.toml").write_text(spec)
    url = f"sqlite:///{folder / 'studies.db'}"
    create_study(url, load_spec(folder / "tiny.toml"), folder)
    Worker(url, "tiny", folder, label="test").work()
    return Done(url, summary_of(url).trials)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, tiny_spec: str) -> Done:
    return done_in(tmp_path_factory.mktemp("done"), tiny_spec)


def test_a_worker_spends_the_budget_exactly(done: Done) -> None:
    assert [trial.state in ("COMPLETE", "PRUNED") for trial in done.trials] == [True] * 3


def test_the_baseline_comes_first_and_says_so(done: Done) -> None:
    summary = summary_of(done.url)
    assert summary.baseline is summary.trials[0]
    assert summary.baseline.attrs["kernels"] == "4-6"
    assert summary.baseline.decision.startswith("The network before adjustment")


def test_every_trial_leaves_its_numbers(done: Done) -> None:
    for trial in done.trials:
        expected = {"macs", "params", "epochs_used", "images_seen", "train_macs", "train_seconds", "signal_seconds"}
        expected |= {f"{quantity}.width_{index:02d}" for quantity in ("duplicates", "dead") for index in (0, 1)}
        expected |= {"parent", "worker", "device", "attempt", "feasible", "kernels"}
        assert expected <= trial.attrs.keys()
        assert len(trial.trace.epochs) == trial.epochs_used
        assert trial.decision


def test_no_sentence_stretches_the_dashboards_table(done: Done) -> None:
    texts = [value for trial in done.trials for value in trial.attrs.values() if isinstance(value, str)]
    assert max(map(len, texts)) < 60


def test_constraints_and_feasibility_agree(done: Done) -> None:
    for trial in done.trials:
        assert trial.feasible == trial.attrs["feasible"] == (trial.attrs["macs"] <= 20_000)


def test_pictures_and_table_are_attached(done: Done) -> None:
    study = open_study(done.url, "tiny")[0]
    names = [meta.filename for meta in optuna.artifacts.get_all_artifact_meta(study.trials[0], storage=study._storage)]
    assert sorted(names) == ["layers.csv", "maps.width_00.png", "maps.width_01.png", "similarity.png"]
    files = list(uploads_folder(artifact_root(done.url)).iterdir())
    assert len(files) == 4 * len(done.trials)


def test_deleting_the_study_removes_every_file(tmp_path: Path, tiny_spec: str) -> None:
    url = done_in(tmp_path, tiny_spec).url
    assert list(uploads_folder(artifact_root(url)).iterdir())
    delete_study(url, "tiny")
    assert [path for path in artifact_root(url).rglob("*") if path.is_file()] == []


def test_the_dashboard_gets_the_studys_plots(done: Done) -> None:
    study = open_study(done.url, "tiny")[0]
    keys = " ".join(study._storage.get_study_system_attrs(study._study_id))
    assert all(
        name in keys for name in ("phashopt-accuracy-against-macs", "phashopt-widths-1", "phashopt-redundancy-1")
    )


def test_a_snapshot_shows_every_layer(done: Done) -> None:
    snapshot = Snapshot.load(trial_folder(artifact_root(done.url), "tiny", 0))
    assert {name: layer.maps.shape for name, layer in snapshot.layers.items()} == {
        "width_00": (4, 1, 8, 8),
        "width_01": (6, 1, 8, 8),
    }


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
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
    assert handed_back.attrs["train_macs"] > 0
    assert (trial_folder(artifact_root(url), study, 0) / CHECKPOINT).exists()

    Worker(url, study, tmp_path, label="rest").work(limit=1)
    resumed, expected = summary_of(url).trials[0], summary_of(whole).trials[0]
    assert resumed.attrs["attempt"] == 2
    assert (resumed.number, resumed.value, resumed.params) == (0, expected.value, expected.params)
    assert resumed.trace.to_json() == expected.trace.to_json()
    assert resumed.attrs["train_macs"] == expected.attrs["train_macs"] > handed_back.attrs["train_macs"]


@pytest.mark.usefixtures("undrawn")
def test_a_proposed_trial_keeps_its_decision_when_handed_back(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("training.epochs=3", "search.pruner='NopPruner'"), tmp_path)
    Worker(url, "tiny", tmp_path, label="first").work(limit=1)
    leaving(url, tmp_path, after=1).work()
    before = open_study(url, "tiny")[0].trials[1]
    assert before.state == TrialState.WAITING
    Worker(url, "tiny", tmp_path, label="rest").work()
    after = open_study(url, "tiny")[0].trials[1]
    assert after.params == before.params
    assert after.system_attrs["decision"] == before.system_attrs["decision"]


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
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
    assert [(row.number, math.isnan(row.loss)) for row in trial.trace.epochs] == [(1, True)]  # the search must know
    assert isinstance(heard[-1], Ended)


def test_failure_after_failure_stops_the_worker(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    overrides = ("training.learning_rate=1e30", "study.trials=9", "search.pruner='NopPruner'")
    create_study(url, spec_of(*overrides), tmp_path)
    with pytest.raises(TooManyFailuresError, match="3 trials failed in a row"):
        Worker(url, "tiny", tmp_path, label="test").work()
    assert len(summary_of(url).trials) == 3


def test_where_a_trial_went_well_losses_that_are_no_numbers_stop_no_worker(
    url: str, spec_of: SpecOf, tmp_path: Path
) -> None:
    create_study(url, spec_of("study.trials=6", "study.max_failures=2"), tmp_path)
    raising(url, tmp_path).work(limit=1)
    assert raising(url, tmp_path, *[Diverged(1, 0.3)] * 4).work() == {"FAIL": 4, "COMPLETE": 1}


def test_what_another_study_finished_went_well_there(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    study = create_study(url, spec_of("study.trials=6", "study.max_failures=2"), tmp_path)
    known = {**spec_of().baseline, "epochs": 1, "learning_rate": 0.02}
    adopted = {ADOPTED_KEY: "old:0"}
    study.add_trial(create_trial(value=0.9, params=known, distributions=dict(spec_of().space), user_attrs=adopted))
    with pytest.raises(TooManyFailuresError, match="2 trials failed in a row"):
        raising(url, tmp_path, *[Diverged(1, 0.3)] * 4).work()


def test_a_loss_that_is_no_number_says_nothing_of_other_failures(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("study.trials=9", "study.max_failures=3"), tmp_path)
    raising(url, tmp_path).work(limit=1)
    errors = [RuntimeError("odd"), RuntimeError("odd"), Diverged(1, 0.3), RuntimeError("odd")]
    with pytest.raises(TooManyFailuresError, match="3 trials failed in a row"):
        raising(url, tmp_path, *errors).work()


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


def slept(trial: Trial) -> Result:
    return Result(accuracy=0.5, stopped=False, epochs_used=1)


class Raising:
    """An objective that raises `errors`, one a call, and then goes well."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)

    def __call__(self, trial: Trial) -> Result:
        if self._errors:
            raise self._errors.pop(0)
        return slept(trial)


def raising(url: str, folder: Path, *errors: Exception) -> Worker:
    objective = Raising(*errors)
    return Worker(url, "tiny", folder, label="test", make_objective=lambda *_: objective)


NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore")


@pytest.mark.parametrize(
    "error", [NO_MEMORY, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_ran_out_once_is_tried_again(url: str, study: str, tmp_path: Path, error: Exception) -> None:
    raising(url, tmp_path, error).work(limit=1)
    assert summary_of(url).trials[0].state == "COMPLETE"


def test_memory_that_ran_out_twice_fails_the_trial_with_its_size(url: str, study: str, tmp_path: Path) -> None:
    raising(url, tmp_path, NO_MEMORY, NO_MEMORY).work(limit=1)
    (trial,) = summary_of(url).trials
    assert (trial.state, trial.attrs["error.type"]) == ("FAIL", "OutOfMemoryError")
    assert "'width_00': 4" in trial.attrs["error.message"]
    assert "Tried to allocate 20.00 GiB" in trial.attrs["error.message"]


def test_a_failed_trial_leaves_its_log(url: str, study: str, tmp_path: Path) -> None:
    raising(url, tmp_path, RuntimeError("kernel panic")).work(limit=1)
    opened = open_study(url, study)[0]
    (meta,) = optuna.artifacts.get_all_artifact_meta(opened.trials[0], storage=opened._storage)
    log = (uploads_folder(artifact_root(url)) / meta.artifact_id).read_text()
    assert meta.filename == "error.log"
    assert "RuntimeError: kernel panic" in log
    assert "worker: test" in log


def test_one_success_closes_the_circuit_again(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("study.trials=9", "study.max_failures=2"), tmp_path)
    broken = RuntimeError("broken")
    worker = raising(url, tmp_path, broken)
    assert worker.work(limit=2) == {"FAIL": 1, "COMPLETE": 1}
    with pytest.raises(TooManyFailuresError, match="2 trials failed in a row, the last one: broken"):
        raising(url, tmp_path, broken, broken, broken).work()


class Forgetful(optuna.samplers.RandomSampler):
    def after_trial(self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: object) -> None:
        if study.study_name == "tiny":  # one that never could take note is refused when the study is made
            raise RuntimeError("no memory for this")


def test_a_sampler_that_cannot_take_note_of_an_end_undoes_none(
    url: str, spec_of: SpecOf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    create_study(url, spec_of(f"search.sampler='{__name__}:Forgetful'"), tmp_path)
    heard: list[Event] = []
    Worker(url, "tiny", tmp_path, label="test", make_objective=lambda *_: slept, notify=heard.append).work(limit=1)
    assert [event.state for event in heard if isinstance(event, Ended) and event.ours] == ["COMPLETE"]
    assert "the sampler could not take note of it: RuntimeError: no memory for this" in caplog.text


def test_trials_failed_by_hand_do_not_open_the_circuit(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("study.trials=4", "study.max_failures=1"), tmp_path)
    opened, _ = open_study(url, "tiny")

    def failed_by_hand(trial: Trial) -> Result:
        if trial.number < 3:
            opened.tell(trial.number, state=TrialState.FAIL)
        return slept(trial)

    assert Worker(url, "tiny", tmp_path, label="test", make_objective=lambda *_: failed_by_hand).work() == {
        "COMPLETE": 1
    }


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_stops_the_worker_and_fails_no_trial(
    url: str, study: str, tmp_path: Path, number: int
) -> None:
    with pytest.raises(UserError, match=r"cannot write to .*studies-artifacts: .*start the worker again"):
        raising(url, tmp_path, OSError(number, os.strerror(number))).work()
    assert [trial.state for trial in summary_of(url).trials] == ["WAITING"]
    assert raising(url, tmp_path).work() == {"COMPLETE": 3}


def test_a_database_that_is_full_is_one_line_and_fails_no_trial(url: str, study: str, tmp_path: Path) -> None:
    worker = raising(url, tmp_path)
    engine = worker._study._storage._backend.engine  # type: ignore[attr-defined]
    engine.dispose()
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(UserError, match=r"cannot write to the study database: database or disk is full"):
        worker.work()
    assert "FAIL" not in [trial.state for trial in summary_of(url).trials]


def test_a_lock_that_cannot_be_taken_is_named(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(path: Path, mode: str) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    worker = raising(url, tmp_path)
    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(UserError, match=r"cannot write to .*studies\.db\.claim: Read-only"):
        worker.work()


def test_an_artifact_root_that_cannot_be_written_is_named(url: str, study: str, tmp_path: Path) -> None:
    root = artifact_root(url)
    root.rmdir()
    root.write_text("a file where the folder was")
    with pytest.raises(UserError, match=r"cannot write to .*studies-artifacts"):
        Worker(url, study, tmp_path, label="test").work()
    assert [trial.state for trial in summary_of(url).trials] == ["WAITING"]


def test_another_hosts_worker_on_sqlite_is_refused(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "BEAT_SECONDS", 0.1)
    opened, _ = open_study(url, study)
    trial = opened.ask()
    with (
        Lease(opened._storage, trial._trial_id, host="elsewhere", beat=0.05).take(),
        pytest.raises(UserError, match=r"another host .* SQLite .* use PostgreSQL"),
    ):
        Worker(url, study, tmp_path, label="test", make_objective=lambda *_: slept).work()
    assert len(summary_of(url).trials) == 1


def test_a_lease_that_another_host_left_behind_is_taken_over(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.05)
    opened, _ = open_study(url, study)
    Lease(opened._storage, opened.ask()._trial_id, host="elsewhere").take()
    worker = Worker(url, study, tmp_path, label="test", grace=0.2, make_objective=lambda *_: slept)
    assert worker.work() == {"COMPLETE": 3}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_other_samplers_draw_anew_for_every_trial(url: str, spec_of: SpecOf, tmp_path: Path, sampler: str) -> None:
    create_study(url, spec_of(f"search.sampler='{sampler}'"), tmp_path)
    for _ in range(3):
        Worker(url, "tiny", tmp_path, label="test").work(limit=1)
    trials = summary_of(url).trials
    assert trials[1].params != trials[2].params
    assert sampler in trials[1].decision
    assert not math.isnan(trials[1].value or math.nan)


@pytest.mark.usefixtures("undrawn")
def test_listed_widths_are_shown_as_kernel_counts(url: str, spec_of: SpecOf, tmp_path: Path) -> None:
    create_study(url, spec_of("network.widths={values=[2,4,6]}"), tmp_path)
    Worker(url, "tiny", tmp_path, label="test").work()
    for trial in summary_of(url).trials:
        widths = [trial.params["width_00"], trial.params["width_01"]]
        assert "-".join(map(str, widths)) == trial.attrs["kernels"]


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
        url,
        study,
        tmp_path,
        label="test",
        notify=lambda event: (notify(event), heard.append(event)),
        stopping=lambda: any(isinstance(event, Ended) for event in heard),
    )
    worker.work()
    (lost,) = (event for event in heard if isinstance(event, Ended))
    assert (lost.trial, lost.message) == (robbed[0], "no longer this worker's")
    left = open_study(url, study)[0].trials[lost.trial]
    assert (left.state, left.system_attrs["lease"]["token"]) == (TrialState.RUNNING, "thief")
