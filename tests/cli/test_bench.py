from __future__ import annotations

import json

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
