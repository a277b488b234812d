from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phashopt.cli.worker import _answer_signals, _slots, _threads
from phashopt.service.supervisor import Supervisor

from .conftest import Run


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`worker` as a user starts it, in a terminal of its own."""
    command = [sys.executable, "-m", "phashopt", "worker", *words]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)


def trials(run: Run) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("study", "show", "tiny", "--json").stdout)["trials"]
    return found


def test_a_worker_in_its_own_process_finishes_the_study(run: Run, tmp_path: Path) -> None:
    run("study", "create", "tiny.toml")
    worker = start(tmp_path, "tiny", "--processes", "2")
    _, said = worker.communicate()
    assert worker.returncode == 0
    assert "3 of 3 trials finished; best so far" in said
    assert all(trial["state"] in ("COMPLETE", "PRUNED") for trial in trials(run))


def test_ctrl_c_hands_the_trial_back_and_a_later_worker_goes_on(run: Run, tmp_path: Path) -> None:
    run("study", "create", "tiny.toml", "--set", "training.epochs=3000", "--set", "study.trials=1")
    worker = start(tmp_path, "tiny")
    deadline = time.monotonic() + 60
    while not any(trial["epochs_used"] for trial in trials(run)) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(worker.pid, signal.SIGINT)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 130
    assert "handed back in attempt 1" in said
    assert [trial["state"] for trial in trials(run)] == ["WAITING"]


@pytest.mark.parametrize("seconds", [1.0, 2.5, 4.0])
def test_ctrl_c_is_no_traceback_however_early(run: Run, tmp_path: Path, seconds: float) -> None:
    run("study", "create", "tiny.toml", "--set", "training.epochs=3000")
    worker = start(tmp_path, "tiny")
    time.sleep(seconds)
    os.killpg(worker.pid, signal.SIGINT)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in said


def test_an_unknown_study_is_the_users_to_mend(run: Run) -> None:
    run("study", "create", "tiny.toml")
    result = run("worker", "tinny")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "did you mean 'tiny'?" in result.stderr


@pytest.mark.parametrize(
    ("given", "threads"), [(None, 4), ("1", 1), ("3", 3), ("64", 4), ("0", 4), ("many", 4), ("2,1", 4)]
)
def test_a_slot_takes_its_share_of_the_cores_and_no_more_threads_than_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, given: str | None, threads: int
) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert _threads(2) == threads


@pytest.mark.parametrize(
    ("processes", "gpus", "per_gpu", "slots"),
    [(2, None, 1, [None, None]), (1, "0,1", 2, ["0", "0", "1", "1"]), (1, "3", 1, ["3"])],
)
def test_slots_are_dealt_out_by_gpu(processes: int, gpus: str | None, per_gpu: int, slots: list[str | None]) -> None:
    assert _slots(processes, gpus, per_gpu) == slots


@pytest.mark.parametrize("gpus", ["999", ""])
def test_gpus_that_are_not_there_are_refused(run: Run, gpus: str) -> None:
    run("study", "create", "tiny.toml")
    result = run("worker", "tiny", "--gpus", gpus)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "GPUs here; leave it out to train on the CPU" in result.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--workers", "2"), "--workers and --gpus-per-worker go with --ray"),
        (("--gpus-per-worker", "0.5"), "--workers and --gpus-per-worker go with --ray"),
        (("--ray", "auto", "--processes", "2"), "with --ray, give --workers"),
        (("--ray", "auto", "--gpus", "0"), "with --ray, give --workers"),
    ],
)
def test_slots_here_and_slots_on_a_cluster_are_not_mixed(run: Run, words: tuple[str, ...], line: str) -> None:
    result = run("worker", "tiny", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert line in result.stderr


def test_without_ray_its_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("study", "create", "tiny.toml")
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("worker", "tiny", "--ray", "auto")
    assert (result.exit_code, result.stderr) == (2, "phashopt: --ray needs Ray; pip install 'phashopt[ray]'\n")


@pytest.mark.parametrize(
    ("signals", "calls"),
    [
        ([signal.SIGTERM, signal.SIGTERM], ["leave"]),
        ([signal.SIGINT, signal.SIGTERM], ["leave"]),
        ([signal.SIGINT, signal.SIGINT], ["leave", "kill"]),
    ],
)
def test_only_a_second_ctrl_c_leaves_at_once(signals: list[signal.Signals], calls: list[str]) -> None:
    made: list[str] = []
    noted: list[int] = []

    class Recorder(Supervisor):
        def __init__(self) -> None:
            self.leave = lambda: made.append("leave")
            self.kill = lambda: made.append("kill")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _answer_signals(Recorder(), noted)
        for number in signals:
            os.kill(os.getpid(), number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (made, noted) == (calls, signals)
