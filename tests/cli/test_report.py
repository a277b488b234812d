from __future__ import annotations

import json
from pathlib import Path

from .conftest import Run


def test_report_writes_a_page_with_its_figures(run: Run, finished: str, tmp_path: Path) -> None:
    page = Path(json.loads(run("report", finished, "--json").stdout)["page"])
    assert "Before and after" in page.read_text()
    assert (tmp_path / "reports" / finished / "figures" / "layer-01-similarity.svg").exists()


def test_a_report_of_a_study_without_results_is_still_a_page(run: Run, tmp_path: Path) -> None:
    run("study", "create", "tiny.toml")
    assert run("report", "tiny", "--out", "page").exit_code == 0
    assert (tmp_path / "page" / "index.html").exists()
