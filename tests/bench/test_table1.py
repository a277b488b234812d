"""The script that makes Table I's page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import results
import table1
from results import run

from phashopt.bench.comparison import ROWS, SEARCHED, Size
from phashopt.bench.sitting import OutOfTimeError, Sitting

from .conftest import draw_nothing

Main = Callable[..., int]


def made(folder: Path, *options: str, work: str = "work") -> int:
    """Works on the specs in `folder` for a page in its `page`; returns the exit status."""
    folders = ("--work", str(folder / work), "--out", str(folder / "page"), "--data-dir", str(folder))
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        patch.setattr(table1, "STUDIES", folder)
        patch.setattr(table1, "FULL", Size(seeds=2, top=1, rates=1, longest=1))
        patch.setattr(results.sys, "argv", ["table1.py", *options, *folders])
        try:
            run("table1", table1.main)
        except SystemExit as left:
            return int(left.code or 0)
    return 0


def specs(folder: Path, tiny_spec: str) -> Path:
    """The studies `one` and `two`, of two trials."""
    for name in ("one", "two"):
        spec = tiny_spec.replace('"tiny"', f'"{name}"').replace("trials = 3", "trials = 2")
        (folder / f"{name}.toml").write_text(spec)
    return folder


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, tiny_spec: str) -> Path:
    """Where the page of `one` is complete."""
    folder = specs(tmp_path_factory.mktemp("first"), tiny_spec)
    assert made(folder, "one") == 0
    return folder


@pytest.fixture
def main(tmp_path: Path, tiny_spec: str) -> Main:
    """Makes pages from nothing."""
    return partial(made, specs(tmp_path, tiny_spec))


@pytest.fixture
def again(tmp_path: Path, first: Path) -> Main:
    """Goes on where the page of `one` is complete."""
    shutil.copytree(first, tmp_path, dirs_exist_ok=True)
    return partial(made, tmp_path)


def details(folder: Path) -> dict[str, dict[str, list[dict[str, object]]]]:
    found: dict[str, dict[str, list[dict[str, object]]]] = json.loads((folder / "TABLE1.json").read_text())["details"]
    return found


def test_one_study_after_another_is_added_to_the_page(again: Main, tmp_path: Path) -> None:
    page = tmp_path / "page"
    first = details(page)["one"]
    assert [row["name"] for row in first["rows"]] == list(ROWS)
    assert [sitting["rows"] for sitting in first["sittings"]] == [list(ROWS)]
    assert again("two", "one", "--keep", "--minutes", "0", work="elsewhere") == table1.UNFINISHED
    assert details(page) == {"one": first}
    assert again("two") == 0
    assert details(page)["one"] == first
    assert {"one: the ladder, one change a row", "two: the ladder, one change a row"} <= {
        line.removeprefix("## ") for line in (page / "TABLE1.md").read_text().splitlines()
    }


def test_the_searched_network_alone_makes_a_page(main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, judged = Sitting.retrain, []

    def once(sitting: Sitting, spec: object, tasks: list[tuple[object, str, int]]) -> object:
        judged.extend(task for task in tasks if task[1] == "judge")
        if len(judged) > 2:
            raise OutOfTimeError
        return asked(sitting, spec, tasks)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Sitting, "retrain", once)
        assert main("one") == table1.UNFINISHED
    assert [row["name"] for row in details(tmp_path / "page")["one"]["rows"]] == [SEARCHED]
    page = (tmp_path / "page" / "TABLE1.md").read_text()
    assert "not complete yet" in page
    assert "| `+ length` is not judged yet |" in page  # no gain over another rung than the one below
    assert main("one", "--keep") == 0
    sittings = details(tmp_path / "page")["one"]["sittings"]
    assert [sitting["rows"] for sitting in sittings] == [[SEARCHED], [row for row in ROWS if row != SEARCHED]]


def test_what_was_not_done_is_not_done_whatever_lies_there(again: Main, tmp_path: Path) -> None:
    before = details(tmp_path / "page")
    assert again("one", "--set", "study.seed=7", "--minutes", "0", work="elsewhere") == table1.UNFINISHED
    assert details(tmp_path / "page") == before


def test_published_rows_are_gone_on_with_by_as_many_seeds(
    again: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = details(tmp_path / "page")
    assert again("one", "--keep", "--seeds", "3") == 2
    assert "judged by 2 seeds, not 3" in capsys.readouterr().err
    assert details(tmp_path / "page") == before


def test_what_was_published_is_gone_on_with_as_it_was_made(main: Main, tmp_path: Path) -> None:
    changed = ("--set", "training.epochs={low=1,high=1}", "--small", "data.limit=200")
    assert main("one", *changed) == 0
    before = details(tmp_path / "page")
    assert main("one", "--keep", work="elsewhere") == 0
    assert details(tmp_path / "page") == before
    assert before["one"]["small"] == ["data.limit=200"]


@pytest.mark.parametrize(
    "options",
    [
        ("one", "--set", "study.trials=1", "--set", "limits.macs=5000"),  # the baseline exceeds it, and is all there is
        ("nosuch",),
        ("one", "--set", "study.nokey=1"),
        ("one", "--seeds", "1"),
        ("one", "--processes", "0"),
    ],
)
def test_what_cannot_be_is_one_line(main: Main, options: tuple[str, ...], tmp_path: Path) -> None:
    assert main(*options) == 2
    assert not (tmp_path / "page").exists()
