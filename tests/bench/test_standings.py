from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from phashopt.bench.actions import Taken
from phashopt.bench.live import LiveTable, LiveTask
from phashopt.bench.standings import RIVAL, Line, document, gains, published, speed_up, speed_ups, standings
from phashopt.errors import UserError
from phashopt.service.spec import load_as


def _line(arm: str, *points: tuple[float, float], seed: int = 0) -> Line:
    compute, test = ([point[column] for point in points] for column in (0, 1))
    return Line(arm, seed, compute, test, test, {}, 1.0)


OURS = _line("ours", (0.05, 0.7), (0.2, 0.81), (0.6, 0.85))
THEIRS = _line(RIVAL, (0.05, 0.7), (0.4, 0.8), (0.5, 0.79), (0.8, 0.8), (1.1, 0.9))


def test_a_choice_holds_until_the_next_one() -> None:
    assert [OURS.at(share) for share in (0.01, 0.05, 0.3, 1.0)] == [0.0, 0.7, 0.81, 0.85]


def test_the_rival_is_taken_where_it_first_had_what_it_ended_with() -> None:
    assert speed_up(OURS, THEIRS) == pytest.approx(0.2 / 0.4)


@pytest.fixture
def task(tmp_path: Path, tiny_spec: str) -> LiveTask:
    file = tmp_path / "live.toml"
    file.write_text(tiny_spec)
    return load_as(LiveTask, file, ())


def test_what_is_never_exceeded_is_infinite_and_no_number_in_json(task: LiveTask) -> None:
    slow = _line("paper", (0.3, 0.8))
    assert speed_up(slow, THEIRS) == math.inf
    assert document([slow, THEIRS], task)["speed_ups"] == {"paper": [None]}


def test_what_was_published_is_read_as_it_was_by_contestant(task: LiveTask) -> None:
    ours = replace(OURS, actions=[Taken("extension", 0.25, True)], commit="abc1234")
    page = json.loads(json.dumps(document([ours, THEIRS], task)))
    more = task.model_copy(update={"live": LiveTable(seeds=(7,))})
    assert published(page, more, ["ours", "paper"]) == [ours]


def test_what_was_published_of_another_task_is_not(task: LiveTask) -> None:
    page = json.loads(json.dumps(document([OURS], task)))
    with pytest.raises(UserError, match="of another task"):
        published(page, task.model_copy(update={"live": LiveTable(budget=3.0)}), ["ours"])


def test_seeds_are_compared_with_their_own_and_averaged() -> None:
    other = [_line("ours", (0.1, 0.6), seed=1), _line(RIVAL, (0.1, 0.5), seed=1)]
    lines = [OURS, THEIRS, *other]
    assert speed_ups(lines)["ours"] == [pytest.approx(0.5), pytest.approx(1.0)]
    assert gains(lines, RIVAL)["ours"] == [pytest.approx(0.85 - 0.8), pytest.approx(0.6 - 0.5)]
    row = standings(lines)["ours"]["B/10"]
    assert row.mean == pytest.approx((0.7 + 0.6) / 2)
    assert row.low <= row.mean <= row.high


def test_against_a_rival_without_a_choice_nobody_is_sooner() -> None:
    nothing = replace(THEIRS, compute=[1.5], validation=[0.9], test=[0.9])
    assert speed_ups([OURS, nothing]) == {}
