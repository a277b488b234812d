from __future__ import annotations

import json
from pathlib import Path

import pytest

from phashopt.service.storage import open_storage
from phashopt.service.study import open_plain

from .conftest import Run


def test_report_writes_a_page_with_its_figures_of_the_classes_chosen(run: Run, finished: str, tmp_path: Path) -> None:
    page = Path(json.loads(run("report", finished, "--classes", "7,3", "--json").stdout)["page"])
    assert "Before and after" in page.read_text()
    assert "--classes 7,3" in page.read_text()
    figures = tmp_path / "reports" / finished / "figures"
    assert "image: 7" in (figures / "layer-01-maps-best-1.svg").read_text()
    assert (figures / "layer-01-similarity.png").exists()


def test_a_report_of_a_study_without_results_is_still_a_page(run: Run, tmp_path: Path) -> None:
    run("study", "create", "tiny.toml")
    assert run("report", "tiny", "--out", "page").exit_code == 0
    assert (tmp_path / "page" / "index.html").exists()


def test_classes_need_the_studys_images(run: Run, finished: str) -> None:
    study = open_plain(open_storage("sqlite:///phashopt.db"), finished)
    study.set_user_attr("data_hash", "another")
    assert run("report", finished).exit_code == 0
    result = run("report", finished, "--classes", "7")
    assert result.exit_code == 2
    assert "the images here are not those of study" in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--classes", "cat"], "there is no class 'cat'"),
        (["--images", "none.png"], "there is no image none.png"),
        (["--classes", "7", "--images", "a.png"], "exclude each other"),
    ],
)
def test_a_wrong_choice_is_one_line_and_no_page(run: Run, finished: str, options: list[str], words: str) -> None:
    result = run("report", finished, *options, "--out", "page")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not Path("page").exists()
