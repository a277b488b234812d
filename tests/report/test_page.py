from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from phashopt.errors import UserError
from phashopt.report import Scene, write_report
from phashopt.report.exhibit import Exhibit, gather, measured
from phashopt.report.images import of_classes
from phashopt.report.page import _choice, script_safe
from phashopt.service.summary import StudySummary, roles, summarize

from .conftest import Real

Write = Callable[..., optuna.Study]
HOSTILE = "</script><script>alert(1)</script><b onclick=alert(2)>{{ 7 * 7 }}"


class Page(HTMLParser):
    """What a reader meets: headings and text, and whether every element is closed in order."""

    VOID = frozenset({"meta", "img", "br", "input"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def write(study: optuna.Study, out: Path) -> Page:
    summary = summarize(study)
    scene = Scene([Exhibit(role, trial) for role, trial in roles(summary).items()])
    return Page(write_report(summary, scene, out, command="python -m phashopt report digits"))


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    return Page(written)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"trials": 0, "spec": {}}, "This study holds no trial yet."),
        ({"trials": 3, "state": lambda _: TrialState.FAIL}, "No trial has finished with an accuracy yet"),
        ({"trials": 3, "reading": lambda _: math.nan, "cap": 1e9}, "From the baseline"),
        ({"trials": 3, "cap": 0}, "No finished trial keeps within the caps"),
        ({"trials": 3, "cap": 1e9, "baseline": None}, "no baseline was trained"),
        ({"trials": 3, "layers": 1, "cap": 1e9}, "From the baseline"),
        ({"trials": 3, "layers": 13, "cap": 1e9}, "From the baseline"),
        ({"trials": 3, "layers": 0, "cap": 1e9}, "From the baseline"),
    ],
)
def test_any_study_is_a_whole_page(
    tmp_path: Path, write_study: Write, settings: dict[str, object], sentence: str
) -> None:
    page = write(write_study(**settings), tmp_path)
    assert sentence in page.text
    assert page.open == []


def test_missing_snapshots_are_named(tmp_path: Path, write_study: Write) -> None:
    page = write(write_study(3, cap=1e9), tmp_path)
    assert "No snapshot was found of baseline (trial 0) and best (trial 2)" in page.text


def test_text_from_the_study_is_inert(tmp_path: Path, write_study: Write) -> None:
    plain = write(write_study(3, cap=1e9), tmp_path / "plain")
    study = write_study(3, cap=1e9, name=HOSTILE, decision=HOSTILE, spec={"study": {"name": HOSTILE, "seed": HOSTILE}})
    hostile = write(study, tmp_path / "hostile")
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert hostile.text.count(HOSTILE) >= 4


def test_hostile_text_in_plots_cannot_leave_the_json(tmp_path: Path, write_study: Write) -> None:
    page = write(write_study(3, cap=1e9, decision=HOSTILE), tmp_path)
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page.html, re.DOTALL)
    assert len(blocks) == 6
    figures = [document for block in blocks if "data" in (document := json.loads(block))]
    hovers = [text for figure in figures for trace in figure["data"] for text in trace.get("hovertext", [])]
    assert any("&lt;/script&gt;" in text for text in hovers)
    assert not any("<script" in text for text in hovers)


def test_a_child_that_is_chosen_says_how_old_its_kernels_are(write_study: Write) -> None:
    summary = summarize(write_study())
    number = summary.front[-1]
    aged = [replace(trial, epochs_inherited=24 * (trial.number == number)) for trial in summary.trials]
    words = _choice(replace(summary, trials=aged), number)["words"]
    assert words.endswith(", with kernels that were trained for 24 epochs before")
    assert "before" not in _choice(summary, number)["words"]


def test_script_safe_json_is_the_same_document() -> None:
    document = {"text": "</script><!-- & ]]>"}
    safe = script_safe(json.dumps(document))
    assert json.loads(safe) == document
    assert not set("<>&") & set(safe)


def test_nothing_is_fetched(page: Page) -> None:
    sources = [attrs[key] for _, attrs in page.tags for key in ("src", "href") if attrs.get(key)]
    assert all(str(source).startswith(("data:", "#")) for source in sources)
    assert page.having("link") == []


def test_every_picture_and_table_says_what_it_is(page: Page) -> None:
    assert page.having("img")
    assert all(attrs.get("alt") and attrs.get("width") and attrs.get("height") for attrs in page.having("img"))
    assert len(page.having("caption")) == len(page.having("table"))
    assert all(attrs.get("aria-label") for attrs in page.having("div") if attrs.get("role") in {"img", "group"})


def test_headings_nest_and_links_lead_somewhere(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(attrs["href"])[1:] for attrs in page.having("a")} <= set(ids)
    assert {attrs["aria-labelledby"] for attrs in page.having("section")} <= set(ids)


def test_every_trial_is_in_the_csv(written: Path, summary: StudySummary) -> None:
    with (written.parent / "tables" / "trials.csv").open(newline="") as file:
        assert [int(row["number"]) for row in csv.DictReader(file)] == [trial.number for trial in summary.trials]


def test_a_second_report_replaces_the_first(tmp_path: Path, write_study: Write) -> None:
    (tmp_path / "index.html").write_text("an older page")
    first = write(write_study(2), tmp_path).html
    assert "an older page" not in first
    assert write(write_study(2), tmp_path).html == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "index.html", "tables"]


def test_source_is_at_the_foot(page: Page) -> None:
    foot = page.text.rpartition("Source")[2]
    for fact in ("python -m phashopt report digits", f"optuna {optuna.__version__}", "5f1d0a", '"dataset": "digits"'):
        assert fact in foot


def test_a_folder_that_cannot_be_written_is_the_users_to_mend(tmp_path: Path, summary: StudySummary) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match=r"cannot write the report to .*choose another folder"):
        write_report(summary, Scene(), tmp_path / "taken", command="")


def test_a_thousand_trials_and_a_hundred_layers_stay_light(tmp_path: Path, write_study: Write) -> None:
    few = summarize(write_study(2, layers=100, cap=1e12, width="width_{:03d}</script><script>alert(1)</script>"))
    trials = [replace(few.trials[0], number=number) for number in range(1000)]
    summary = replace(few, trials=trials, baseline=trials[0], best=trials[1], front=[1])
    page = Page(write_report(summary, Scene(), tmp_path, command=""))
    assert len(page.html.encode()) < 12_000_000
    assert "All 1000 decisions" in page.text
    assert "<script>alert" not in page.html
    assert page.open == []


def test_a_real_study_shows_every_figure_of_the_paper(tmp_path: Path, real: Real) -> None:
    exhibits = measured(gather(real.summary, real.root), real.data)
    scene = Scene(exhibits, of_classes(real.data, ["3", "7"]))
    page = Page(write_report(real.summary, scene, tmp_path, command=""))
    drawings = {path.stem for path in (tmp_path / "figures").glob("*.png")}
    role = exhibits[-1].role
    assert drawings == {path.stem for path in (tmp_path / "figures").glob("*.svg")}
    assert {"widths", "reverse", f"grad-cam-{role}", f"guided-grad-cam-{role}", "accuracy-against-macs"} <= drawings
    for layer in ("layer-01", "layer-02"):
        assert {f"{layer}-similarity", f"{layer}-maps-{role}-1", f"{layer}-across-{role}", f"{layer}-film-{role}"} <= (
            drawings
        )
    assert f"layer-01-image-2-maps-{role}-1" in drawings
    for name in (
        "Fig. 1",
        "Fig. 2, 3, 4",
        "Fig. 5(a), 6",
        "Fig. 7",
        "Fig. 8",
        "Fig. 10, 12, 14",
        "Latency of an image",
    ):
        assert name in page.text


def test_what_is_missing_is_said(tmp_path: Path, summary: StudySummary) -> None:
    scene = Scene(notes=["The images were not at hand."], unbelieving="there is no model")
    page = Page(write_report(summary, scene, tmp_path, command=""))
    assert "The images were not at hand." in page.text
    assert "There is no model." in page.text
    assert not (tmp_path / "tables" / "belief.csv").exists()


def test_the_page_says_what_the_model_believes(written: Path, page: Page) -> None:
    assert "Most is believed to hang on Layer 1" in page.text
    with (written.parent / "tables" / "belief.csv").open(newline="") as file:
        rows = [(row["layer"], row["kernels"], row["errors"]) for row in csv.DictReader(file)]
    assert rows[:2] == [("width_00", "24", "1.1"), ("width_00", "32", "0.9")]
    assert (written.parent / "figures" / "belief.svg").exists()
