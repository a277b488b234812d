"""The page in the system's Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from phashopt.report import Scene, write_report
from phashopt.service.summary import StudySummary

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

NARROW: ViewportSize = {"width": 420, "height": 900}
PATIENCE = 300_000.0  # milliseconds that no test waits on an idle machine


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as chromium,
    ):
        yield chromium


class Visit:
    """A page opened, with what it wrote to the console and asked the network for."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(viewport=NARROW, color_scheme="dark")
        self.page.set_default_timeout(PATIENCE)
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def scroll_through(self) -> None:
        """Bring every plot near once, so that it is drawn."""
        for plot in self.page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator(".main-svg").first.wait_for(state="attached")


@pytest.fixture(scope="module")
def visit(browser: Browser, written: Path) -> Visit:
    """The page of eight trials, opened once, every plot drawn."""
    visit = Visit(browser, written)
    visit.scroll_through()
    return visit


def test_the_page_draws_its_plots_and_leaves_the_console_clean(visit: Visit, summary: StudySummary) -> None:
    page = visit.page
    assert page.locator(".plot .point").count() > 3 * len(summary.trials)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert visit.messages == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_a_screen_reader_meets_every_figure_and_hears_the_slider(visit: Visit) -> None:
    tree = visit.page.locator("body").aria_snapshot()
    for words in (
        'slider "Cap on MACs per image',
        'img "Accuracy against cost',
        'img "What another width',
        'img "Similarity matrices of Layer 1',
        'table "The paper',
        'heading "What the model believes"',
    ):
        assert words in tree


def test_the_slider_names_what_to_take(visit: Visit, summary: StudySummary) -> None:
    slider, choice = visit.page.locator("#cap"), visit.page.locator("#choice")
    assert summary.best is not None
    assert f"Take trial {summary.best.number}:" in choice.inner_text()
    slider.focus()
    visit.page.keyboard.press("Home")
    assert "No trial is that cheap" in choice.inner_text()
    visit.page.keyboard.press("End")
    top = max(summary.trials, key=lambda trial: trial.value or 0.0)
    assert f"Take trial {top.number}:" in choice.inner_text()
    assert visit.page.locator("#front tr.chosen").get_attribute("data-trial") == str(top.number)
    assert str(slider.get_attribute("aria-valuetext")).endswith(" MACs")
    assert visit.messages == []


def test_big_layers_are_leafed_through(visit: Visit) -> None:
    sheets = visit.page.locator(".sheets").nth(1)
    assert sheets.locator("figure:visible").count() == 1
    sheets.get_by_role("button", name="Next").click()
    assert "Sheet 2 of 3" in sheets.inner_text()
    assert sheets.get_by_role("button", name="Previous").is_enabled()
    assert visit.messages == []


def test_paper_shows_what_the_screen_folds_away(visit: Visit) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".sheets").nth(1).locator("figure:visible").count() == 3
    widths = page.evaluate("[...document.querySelectorAll('.plot .main-svg')].map(plot => plot.clientWidth)")
    assert page.locator(".plot:not(:has(.main-svg))").count() == 0
    assert max(widths) <= 680  # A4 within margins of 15 mm
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    assert page.locator("details:not([open])").count() > 0
    assert page.locator(".plot .main-svg").first.evaluate("plot => plot.clientWidth") > 1000
    page.set_viewport_size(NARROW)


def test_axe_finds_nothing_to_mend_in_dark_nor_in_light(visit: Visit) -> None:
    visit.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    found = list(Axe().run(visit.page).response["violations"])
    visit.page.emulate_media(color_scheme="light")
    contrast = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    found += Axe().run(visit.page, options=contrast).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []


def test_a_thousand_trials_are_drawn(browser: Browser, tmp_path: Path, summary: StudySummary) -> None:
    trials = [replace(summary.trials[number % 8], number=number) for number in range(1000)]
    many = replace(summary, trials=trials, baseline=trials[0], best=trials[1], front=[1])
    visit = Visit(browser, write_report(many, Scene(), tmp_path, command=""))
    visit.scroll_through()
    assert visit.page.locator(".plot .point").count() > 2000
    assert visit.messages == []
