from __future__ import annotations

import re
from io import StringIO

import optuna
import pytest
from rich.console import Console

from phashopt.cli.live import Display
from phashopt.service.events import Closed, Ended, Progress
from phashopt.service.patience import StorageAwayError

UNDER_WAY = Progress(137, 12, 16, 0.957, 0.25, 12_345.0, 74.0)
LINE = "trial 137: epoch 12/16, 95.7%, redund. 0.25, 12.3 k images/s, 01:14 left"


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(study_name="named", direction="maximize")
    study.add_trial(optuna.trial.create_trial(value=0.9))
    return study


def shown(study: optuna.Study, *, terminal: bool) -> str:
    """All that is written for one trial's epoch and its end, at 80 columns."""
    console = Console(file=StringIO(), force_terminal=terminal, width=80, color_system=None)
    with Display(console, study, total=8, slots=2) as display:
        display.show(1, UNDER_WAY)
        display.show(1, Ended(137, "COMPLETE", 0.961, "16 epochs"))
        if terminal:
            display._live.refresh()
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_off_a_terminal_there_are_plain_lines(study: optuna.Study) -> None:
    assert shown(study, terminal=False).splitlines() == [
        f"slot 1: {LINE}",
        "slot 1: trial 137 complete at 96.1% (16 epochs)",
        "named: 1 of 8 trials finished; best so far 90.0% (trial 0)",
    ]


def test_on_a_terminal_each_slot_has_one_whole_line(study: optuna.Study) -> None:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown(study, terminal=True))
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
    assert f"slot 1 {LINE}" in lines
    assert "slot 0 starting" in lines
    assert max(map(len, lines)) <= 80


def test_a_database_that_is_away_for_good_keeps_nobody(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=StringIO(), width=80)
    with Display(console, study, total=8, slots=1) as display:
        monkeypatch.setattr(study._storage, "get_all_studies", away)
        display.show(0, Ended(137, "COMPLETE", 0.961, "16 epochs"))
        display.show(0, Closed(error="the database is away"))
    assert isinstance(console.file, StringIO)
    assert "slot 0: the database is away" in console.file.getvalue().splitlines()[-1]


def away() -> None:
    raise StorageAwayError("gone")


def test_of_a_study_that_was_deleted_only_that_is_said(study: optuna.Study) -> None:
    console = Console(file=StringIO(), width=80)
    with Display(console, study, total=8, slots=1) as display:
        optuna.delete_study(study_name=study.study_name, storage=study._storage)
        display.show(0, Ended(137, "COMPLETE", 0.961, "16 epochs"))
        display.show(0, Closed(error="study 'named' was deleted", users_error=True))
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().splitlines()[1:] == ["phashopt: slot 0: study 'named' was deleted"]
    assert display.users_error


@pytest.mark.parametrize(("seconds", "left"), [(0.2, "00:00"), (61, "01:01"), (3 * 3600, "3:00:00")])
def test_what_is_left_is_told_as_a_clock_would(seconds: float, left: str) -> None:
    from phashopt.cli.live import _progress

    assert _progress(Progress(1, 1, 2, 0.5, float("nan"), 900.0, seconds)).endswith(f"50.0%, 900 images/s, {left} left")
