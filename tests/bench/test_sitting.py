from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from phashopt.bench import retrain as module
from phashopt.bench.comparison import BEFORE, LENGTH, RIVAL, ROWS, SEARCHED, Comparison, Part, Size, details_of, part_of
from phashopt.bench.retrain import Scores, Use, Variant, load
from phashopt.bench.sitting import OutOfTimeError, Sitting
from phashopt.errors import UserError
from phashopt.service.spec import Spec, parse_spec
from phashopt.training.loop import Diverged

from .conftest import draw_nothing

VARIANT = Variant((4, 6), {"epochs": 3, "learning_rate": 0.05})
SIZE = Size(seeds=2, top=1, rates=1, longest=1)
TASKS = [(VARIANT, "judge", 0), (VARIANT, "choose", 0)]


@pytest.fixture(scope="module")
def spec(tiny_spec: str) -> Spec:
    return parse_spec(tomllib.loads(tiny_spec), "tiny.toml")


def without_time(scores: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in score.items() if name != "seconds"} for score in scores]


def test_what_is_done_is_not_done_again(spec: Spec, tmp_path: Path) -> None:
    first = Sitting(tmp_path, tmp_path / "work").retrain(spec, TASKS)
    over = Sitting(tmp_path, tmp_path / "work", deadline=0.0)
    assert over.retrain(spec, TASKS) == first
    with pytest.raises(OutOfTimeError):
        over.retrain(spec, [*TASKS, (VARIANT, "judge", 1)])


def test_a_training_cut_off_by_the_clock_ends_as_one_that_was_not(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Sitting(tmp_path, tmp_path / "whole").retrain(spec, TASKS)
    monkeypatch.setattr(module, "SAVE_SECONDS", 0.0)
    calls = iter(range(1000))
    with monkeypatch.context() as clock:
        clock.setattr(module.time, "time", lambda: next(calls))
        with pytest.raises(OutOfTimeError):
            Sitting(tmp_path, tmp_path / "parts", deadline=6.0).retrain(spec, TASKS[:1])
    assert list((tmp_path / "parts" / "tiny").glob("*.safetensors"))
    parts = Sitting(tmp_path, tmp_path / "parts").retrain(spec, TASKS)
    assert without_time(parts) == without_time(whole)


def test_a_sitting_ends_with_whoever_began_it(spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.multiprocessing, "parent_process", lambda: SimpleNamespace(is_alive=lambda: False))
    with pytest.raises(OutOfTimeError):
        Sitting(tmp_path, tmp_path / "work").retrain(spec, TASKS)


def test_a_search_whose_trials_all_fail_ends_in_one_line(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_trial: object) -> None:
        raise ValueError("nothing works")

    monkeypatch.setattr("phashopt.service.worker.training_objective", lambda *_, **__: fail)
    with pytest.raises(UserError, match="failed in a row"):
        Sitting(tmp_path, tmp_path / "work").search(spec)


def test_seeds_that_choose_never_judge(spec: Spec, tmp_path: Path) -> None:
    judged, chosen = Sitting(tmp_path, tmp_path).retrain(spec, TASKS)
    assert judged["seed"] != chosen["seed"]
    assert "test" not in chosen


@pytest.fixture(scope="module", autouse=True)
def _undrawn() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield


@pytest.fixture(scope="module")
def quick(spec: Spec) -> Spec:
    """Two trials."""
    return spec.model_copy(update={"study": spec.study.model_copy(update={"trials": 2})})


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def part(quick: Spec, work: Path) -> Part:
    """Complete."""
    return Comparison(quick, SIZE, Sitting(work, work)).part()


def test_a_whole_part_is_fair_and_kept(quick: Spec, part: Part, work: Path) -> None:
    """The rival spends what the search spent, every row meets the same seeds, and nothing is done twice."""
    assert not part.missing
    assert part.search["trials"] == 2
    assert part.rival is not None
    assert part.rival["macs"] >= part.search["macs"]
    assert len({tuple(row.of("seed")) for row in part.rows.values()}) == 1
    assert max(part.rows[SEARCHED].macs, part.rows[RIVAL].macs) <= 20_000
    assert Comparison(quick, SIZE, Sitting(work, work, deadline=0.0)).part().rows == part.rows


def test_what_diverges_is_as_good_as_guessing_and_says_so(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> float:
        raise Diverged(1, 0.1)

    monkeypatch.setattr(module.Trainer, "train_epoch", diverge)
    judged, chosen = Sitting(tmp_path, tmp_path / "work").retrain(spec, TASKS)
    assert (judged["test"], judged["top5"], judged["training"], judged["diverged"]) == (0.1, 0.5, 0.1, True)
    assert (chosen["validation"], chosen["diverged"]) == (0.1, True)


def test_what_is_chosen_on_fewer_images_is_judged_on_all_of_them_and_kept_row_by_row(
    quick: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = quick.model_copy(update={"data": quick.data.model_copy(update={"limit": 200})})
    judged: list[int] = []
    asked = Sitting.retrain

    def until_the_third_row(sitting: Sitting, spec: Spec, tasks: Sequence[tuple[Variant, Use, int]]) -> list[Scores]:
        if tasks[0][1] == "judge":
            judged.append(spec.data.limit or 0)
            if len(judged) >= 3:
                raise OutOfTimeError
        else:
            assert spec.data.limit == 200
        return asked(sitting, spec, tasks)

    monkeypatch.setattr(Sitting, "retrain", until_the_third_row)
    size = Size(seeds=2, top=1, rates=2, longest=1)
    part = Comparison(quick, size, Sitting(tmp_path, tmp_path / "work"), searched=fewer).part()
    assert tuple(part.rows) == (SEARCHED, BEFORE)
    assert part.missing == ROWS[2:]
    assert part.rival is None
    assert set(judged) == {quick.data.limit or 0}
    row, images = part.rows[SEARCHED], len(load(fewer, tmp_path).train)
    trainings_of_fewer = row.choosing_macs / (3.0 * row.macs * int(row.numbers["epochs"]) * images)
    assert trainings_of_fewer in (1, 2, 3)  # as found, and at two rates about it, rounded and within the range


def test_a_part_that_was_published_is_gone_on_with_where_its_work_is_gone(
    quick: Spec, part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replace(part, rows={name: part.rows[name] for name in (BEFORE, SEARCHED, LENGTH)}, rival=None)
    told = json.loads(json.dumps(details_of(first, quick)))
    assert part_of(told, quick, quick) == first
    elsewhere = Sitting(tmp_path, tmp_path / "elsewhere")
    again = Comparison(quick, SIZE, elsewhere, known=part_of(told, quick, quick)).part()
    assert {name: again.rows[name] for name in first.rows} == first.rows
    assert [without_time(row.scores) for row in again.rows.values()] == [
        without_time(row.scores) for row in part.rows.values()
    ]
    monkeypatch.setattr(Sitting, "search", None)  # nothing is searched again, the rival's included
    assert Comparison(quick, SIZE, elsewhere, known=again).part() == again


def test_a_row_that_there_is_no_time_for_takes_no_published_one_with_it(
    quick: Spec, part: Part, tmp_path: Path
) -> None:
    known = replace(part, rows={name: row for name, row in part.rows.items() if name != BEFORE})
    over = Sitting(tmp_path, tmp_path / "elsewhere", deadline=0.0)
    assert Comparison(quick, SIZE, over, known=known).part().missing == (BEFORE,)


def test_a_part_of_another_spec_is_not_gone_on_with(quick: Spec) -> None:
    other = quick.model_copy(update={"limits": quick.limits.model_copy(update={"macs": 10_000.0})})
    with pytest.raises(UserError, match="published with another 'searched'"):
        part_of(details_of(Part(quick, {}, {}, None), quick), quick, other)


def test_work_on_another_spec_is_not_gone_on_with(quick: Spec, tmp_path: Path) -> None:
    sitting = Sitting(tmp_path, tmp_path / "work")
    sitting.search(quick)
    other = quick.model_copy(update={"limits": quick.limits.model_copy(update={"macs": 10_000.0})})
    with pytest.raises(UserError, match="another spec"):
        sitting.search(other)
