"""The page in the system's Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from phashopt.report import write_report
from phashopt.service.summary import StudySummary
from phashopt.training.snapshot import Snapshot

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as chromium,
    ):
        yield chromium


def test_the_page_draws_its_plots_and_leaves_the_console_clean(
    browser: Browser, tmp_path: Path, summary: StudySummary, snapshots: dict[int, Snapshot]
) -> None:
    path = write_report(summary, snapshots, tmp_path, command="python -m phashopt report digits")
    page = browser.new_page(viewport={"width": 420, "height": 900}, color_scheme="dark")
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 4")
    assert page.locator(".plot .point").count() > 3 * len(summary.trials)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
