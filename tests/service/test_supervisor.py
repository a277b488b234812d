from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from phashopt.service import supervisor as module
from phashopt.service.events import Closed, Ended, Progress
from phashopt.service.study import open_study
from phashopt.service.supervisor import Assignment, Supervisor, _environment


def assignment(url: str, name: str, folder: Path) -> Assignment:
    return Assignment(url=url, name=name, data_dir=folder, threads=1)


def states(url: str, name: str) -> list[str]:
    return [trial.state.name for trial in open_study(url, name)[0].trials]


def test_two_slots_share_one_budget(url: str, study: str, tmp_path: Path) -> None:
    ends: Counter[str] = Counter()
    for _, event in Supervisor(assignment(url, study, tmp_path), [None, None]).listen():
        if isinstance(event, Closed):
            assert event.error is None
            ends += event.ends
    assert ends.total() == 3
    assert set(states(url, study)) <= {"COMPLETE", "PRUNED"}


def test_slots_asked_to_leave_hand_their_trials_back(url: str, study: str, tmp_path: Path) -> None:
    supervisor = Supervisor(assignment(url, study, tmp_path), [None])
    for _, event in supervisor.listen():
        if isinstance(event, Progress):
            supervisor.leave()
        if isinstance(event, Closed):
            assert event.error is None
    assert "RUNNING" not in states(url, study)


def test_who_leaves_before_the_start_starts_nothing(url: str, study: str, tmp_path: Path) -> None:
    supervisor = Supervisor(assignment(url, study, tmp_path), [None])
    supervisor.leave()
    assert list(supervisor.listen()) == []
    assert states(url, study) == ["WAITING"]


def test_a_killed_slot_is_reported(url: str, study: str, tmp_path: Path) -> None:
    supervisor = Supervisor(assignment(url, study, tmp_path), [None])
    last = None
    for _, event in supervisor.listen():
        if isinstance(event, Progress):
            supervisor.kill()
        last = event or last
    assert isinstance(last, Closed)
    assert f"died with status {-signal.SIGKILL}" in str(last.error)


def test_a_slot_whose_process_dies_is_started_again(url: str, study: str, tmp_path: Path) -> None:
    supervisor = Supervisor(assignment(url, study, tmp_path), [None])
    victims, last = [], None
    for _, event in supervisor.listen():
        if not victims:
            victims.append(supervisor._processes[0])
            victims[0].kill()
        last = event or last
    assert supervisor._processes[0].pid != victims[0].pid
    assert isinstance(last, Closed)
    assert (last.error, last.ends.total()) == (None, 3)


def test_who_takes_the_place_of_a_slot_that_died_has_what_it_left(url: str, study: str, tmp_path: Path) -> None:
    supervisor = Supervisor(replace(assignment(url, study, tmp_path), limit=2), [None])
    killed, last = False, None
    for _, event in supervisor.listen():
        if isinstance(event, Ended) and not killed:
            supervisor._processes[0].kill()
            killed = True
        last = event or last
    assert isinstance(last, Closed)
    assert (last.error, last.ends.total()) == (None, 1)


def test_a_slot_that_dies_again_and_again_is_given_up(
    url: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESTARTS", 1)
    supervisor = Supervisor(assignment(url, study, tmp_path), [None])
    events = []
    for _, event in supervisor.listen():
        supervisor._processes[0].kill()
        events += [event] if event else []
    assert events == [Closed(error=f"the process of slot 0 died with status {-signal.SIGKILL}")]


def test_a_users_error_is_told_apart(url: str, study: str, tmp_path: Path) -> None:
    events = [event for _, event in Supervisor(assignment(url, "other", tmp_path), [None]).listen() if event]
    assert events == [Closed(error="there is no study 'other'; known are tiny", users_error=True)]


def test_a_slot_sees_its_own_gpu_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def tell(_: Assignment, __: Callable[[], bool], notify: Callable[[object], None]) -> None:
        notify(os.environ["CUDA_VISIBLE_DEVICES"])
        notify(Closed())

    monkeypatch.setattr(module, "START", "fork")  # so that the slots have what is patched here
    monkeypatch.setattr(module, "run_slot", tell)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    events = Supervisor(assignment("", "", tmp_path), ["3", None]).listen()
    assert {slot: event for slot, event in events if isinstance(event, str)} == {0: "3", 1: "0,1"}


def test_what_slots_are_forked_from_has_not_touched_cuda() -> None:
    code = f"""
import importlib, torch
asked = []
for place, names in (torch.cuda, ("is_available", "device_count", "_lazy_init")), (torch._C, dir(torch._C)):
    for name in names:
        if place is torch.cuda or name in ("_cuda_init", "_cuda_getDeviceCount", "_cuda_getDevice"):
            setattr(place, name, lambda *_, name=name: asked.append(name))
for module in {module.IMPORTED}:
    importlib.import_module(module)
raise SystemExit(", ".join(asked))
"""
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr.strip() == ""
    )


@pytest.mark.parametrize("before", [None, "0"])
def test_an_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if before is not None:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", before)
    with _environment({"MALLOC_TRIM_THRESHOLD_": "3"}):
        assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "3"
    assert os.environ.get("MALLOC_TRIM_THRESHOLD_") == before
