from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from phashopt.bench.arms import FIRST_ORDER

from ..bench.test_table import foreign
from .conftest import Run

FEW = ("--layers", "2", "--worlds", "2", "--trials", "5", "--arm", "model", "--arm", "random", "--processes", "1")


def test_replay_tells_every_course_and_its_summary(run: Run) -> None:
    document = json.loads(run("bench", "replay", *FEW, "--json").stdout)
    assert document["formula"]["layers"] == 2
    assert document["summary"].keys() == {"model", "random"}
    assert [len(course["reached"]) for course in document["courses"]] == [5] * 4


def test_replay_shows_a_table(run: Run) -> None:
    assert "regret at 5" in run("bench", "replay", *FEW).stdout.replace("\n", " ")


def test_an_unknown_arm_is_named_with_the_known_ones(run: Run) -> None:
    result = run("bench", "replay", "--arm", "tpe")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "TPE" in result.stderr


RECORD = "[record]\nconfigurations = 2\nlengths = [1, 2]\nseeds = [0]\nheld_out = 1\n"
LIVE = "[live]\nbudget = 0.3\nseeds = [0]\n"


def test_what_is_recorded_can_be_replayed(run: Run, tmp_path: Path, tiny_spec: str) -> None:
    (tmp_path / "task.toml").write_text(tiny_spec + RECORD)
    words = ("--set", "data.limit=100", "--processes", "1")
    assert run("bench", "record", "task.toml", *words).exit_code == 0
    table = pd.read_parquet(tmp_path / "tiny.parquet")
    table["val_accuracy"] = 0.1 * (1 + table["config"])  # so few images score alike
    table.to_parquet(tmp_path / "tiny.parquet")
    searched = ("--worlds", "2", "--trials", "5", "--cap", "1", "--arm", "random", "--processes", "1")
    document = json.loads(run("bench", "replay", "tiny.parquet", *searched, "--json").stdout)
    assert document["summary"].keys() == {"random", *FIRST_ORDER}
    assert document["counts"] is False


def test_a_live_comparison_is_played_and_shown_again(run: Run, tmp_path: Path, tiny_spec: str) -> None:
    (tmp_path / "task.toml").write_text(tiny_spec + LIVE)
    words = ("--set", "data.limit=100", "--arm", "random", "--arm", "after epoch 1")
    assert "B/3" in run("bench", "live", "task.toml", *words, "--processes", "1").stdout
    assert run("bench", "live", "task.toml", "--no-play", "--storage", "sqlite:///none.db").exit_code == 2
    document = json.loads(run("bench", "live", "task.toml", *words, "--no-play", "--json").stdout)
    assert [line["arm"] for line in document["lines"]] == ["random", "after epoch 1"]


def test_an_unknown_contestant_is_named_with_the_known_ones(run: Run, tmp_path: Path, tiny_spec: str) -> None:
    (tmp_path / "task.toml").write_text(tiny_spec + LIVE)
    result = run("bench", "live", "task.toml", "--arm", "TPE")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "TPE+Hyperband" in result.stderr


def test_a_replay_says_what_is_searched_and_takes_no_depth_beside_a_table(run: Run, tmp_path: Path) -> None:
    foreign(tmp_path / "table.parquet")
    few = ("table.parquet", "--cap", "0.3", "--trials", "5", "--worlds", "2", "--arm", "random", "--processes", "1")
    said = run("bench", "replay", *few).stderr
    assert "width_00, width_01, epochs, optimizer, learning_rate of" in said.replace("\n", " ")
    result = run("bench", "replay", *few, "--layers", "3")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--layers is of synthetic worlds" in result.stderr


def test_a_process_that_was_killed_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "killed.py").write_text(
        "import os\nimport optuna\nclass Killed(optuna.samplers.RandomSampler):\n"
        "    def sample_relative(self, *_):\n        os._exit(9)\n"
    )
    result = run("bench", "replay", *FEW[:6], "--arm", "killed:Killed", "--processes", "1")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "a process was killed" in result.stderr
