from __future__ import annotations

import json

from .conftest import Run


def test_confirm_retrains_with_fresh_seeds_on_images_never_scored(run: Run, finished: str) -> None:
    document = json.loads(run("confirm", finished, "--seeds", "2", "--split", "held_out", "--json").stdout)
    assert document["split"] == "held_out"
    baseline, *_ = document["confirmed"]
    assert baseline["trial"] == 0
    assert baseline["gain"] == 0
    assert all(len(row["accuracies"]) == 2 for row in document["confirmed"])


def test_confirm_shows_a_table(run: Run, finished: str) -> None:
    assert "gain over baseline" in run("confirm", finished, "--seeds", "2").stdout


def test_a_spec_that_holds_nothing_out_says_so(run: Run) -> None:
    run("study", "create", "tiny.toml", "--set", "data.held_out=0.0")
    result = run("confirm", "tiny", "--split", "held_out")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
