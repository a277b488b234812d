from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("study", "show"), "Missing argument"),
        (("study", "show", "tiny", "--nope"), "No such option: --nope; see phashopt study show --help"),
        (("study", "best", "tiny", "--macs", "few"), "--macs"),
        (("study", "worth", "tiny", "--hours", "inf"), "--hours"),
        (("study", "create", "tiny.toml", "--set"), "--set"),
        (("bench", "replay", "--layers", "1"), "--layers"),
        (("inspect", "x", "--data", "digits", "--size", "100000"), "--size"),
        (("worker", "tiny", "--processes", "0"), "--processes"),
        (("server", "--port", "99999"), "--port"),
        (("study", "create", "tiny.toml", "--name", ""), "study.name: write at most 100 letters"),
        (("study", "create", "tiny.toml", "--set", "study=1"), "study: write a table"),
        (("study", "create", "tiny.toml", "--set", "network.widths=3"), "or a list of them"),
        (("study", "create", "tiny.toml", "--set", "training.epochs=10000000"), "less than or equal to"),
        (("study", "create", "tiny.toml", "--set", "training.epochs={choices=[1,1]}"), "there twice"),
        (("study", "create", "tiny.toml", "--set", "training.augmentation.shift=8"), "8 pixels a side"),
        (("study", "create", "tiny.toml", "--set", "training.augmentation.cutout=9"), "8 pixels a side"),
        (("study", "create", "tiny.toml", "--set", "search.sampler=.a:X"), "cannot be imported"),
        (("study", "create", "tiny.toml", "--storage", "journal:///no/such/folder/a.log"), "no folder"),
        (("study", "list", "--storage", "foo"), "'foo' is no storage URL"),
        (("study", "list", "--storage", "sqlite:///"), "names no file"),
        (("bench", "record", "tiny.toml", "--out", "a.parquet"), "record is missing"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(run: Run, tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (2, 1, "")
    assert result.stderr.startswith("phashopt: ")
    assert line in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def test_a_group_that_is_asked_for_nothing_shows_its_commands(run: Run) -> None:
    result = run("study")
    assert (result.exit_code, result.stderr) == (2, "")
    assert "adopt" in result.stdout


def test_a_folder_that_cannot_be_made_leaves_no_database(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHASHOPT_ARTIFACTS", str(tmp_path / "tiny.toml"))
    result = run("study", "create", "tiny.toml")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "set PHASHOPT_ARTIFACTS" in result.stderr
    assert not (tmp_path / "phashopt.db").exists()


def test_before_anything_was_learnt_there_is_no_best(run: Run) -> None:
    run("study", "create", "tiny.toml")
    result = run("study", "best", "tiny")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "no finished trial yet" in result.stderr


def test_words_between_colons_are_no_pictures(run: Run) -> None:
    assert "there is no spec :x:.toml" in run("study", "create", ":x:.toml").stderr
