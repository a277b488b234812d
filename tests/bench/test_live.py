from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch
from optuna import Study
from optuna.trial import TrialState

from phashopt.bench.contestants import CONTESTANTS, Ring
from phashopt.bench.live import LiveTask, Match, Player, charged, matches_of, open_match, play
from phashopt.bench.shrunk import Shrunk
from phashopt.bench.standings import line, lines_of
from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.search import Verdict
from phashopt.search.space import LENGTH
from phashopt.service.images import load_data
from phashopt.service.objective import Objective
from phashopt.service.spec import load_as
from phashopt.service.storage import artifact_root, trial_folder
from phashopt.trace import Trace
from phashopt.training.loop import Diverged
from phashopt.training.run import Run

LIVE = """
[live]
budget = 0.8
seeds = [4]
"""


@pytest.fixture
def task_of(tmp_path: Path, tiny_spec: str) -> Callable[..., LiveTask]:
    file = tmp_path / "live.toml"
    file.write_text(tiny_spec + LIVE)
    return lambda *overrides: load_as(LiveTask, file, ("data.limit=120", "data.held_out=0.0", *overrides))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'live.db'}"


def _told(study: Study) -> list[object]:
    return [(trial.state, trial.params, trial.value, charged(trial)) for trial in study.trials]


def test_a_shrunk_child_and_its_parent_cost_what_the_uniform_net_does(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path
) -> None:
    task = task_of("live.budget=8.0")
    list(play(task, matches_of(task, ["parent shrunk once"]), url, tmp_path, 1))
    study = open_match(task, Match("parent shrunk once", 4), url)
    found = line(study, "parent shrunk once", 4)
    assert found.spent == pytest.approx(1, abs=0.2)
    assert len(study.trials) == 4
    assert 0 < found.test[-1] < 1


def test_a_parent_that_diverges_is_a_failure_and_ends_no_match(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> Shrunk:
        raise Diverged(1, 0.1)

    monkeypatch.setattr("phashopt.bench.live.train_shrunk", diverge)
    task = task_of("live.budget=8.0")
    list(play(task, matches_of(task, ["parent shrunk once"]), url, tmp_path, 1))
    study = open_match(task, Match("parent shrunk once", 4), url)
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 4
    assert line(study, "parent shrunk once", 4).spent == pytest.approx(1)


def test_what_diverged_is_charged_without_readings_to_whoever_looks_at_none(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, judge = task_of(), Objective._judge

    def diverges(objective: Objective, trial: optuna.Trial, run: Run, trace: Trace) -> Verdict:
        judge(objective, trial, run, trace)
        raise Diverged(1, 0.1)

    monkeypatch.setattr(Objective, "_judge", diverges)
    list(play(task, matches_of(task, ["ours", "random"]), url, tmp_path, 1))
    reading, blind = (open_match(task, Match(arm, 4), url).trials[0] for arm in ("ours", "random"))
    assert reading.params == blind.params
    assert charged(reading) - charged(blind) == reading.user_attrs["reading_macs"] > 0


@pytest.mark.parametrize("arm", ["ours", "random"])
def test_a_match_spends_its_budget_and_is_over(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path, arm: str
) -> None:
    task = task_of()
    assert list(play(task, matches_of(task, [arm]), url, tmp_path, 1)) == [Match(arm, 4)]
    study = open_match(task, Match(arm, 4), url)
    found = line(study, arm, 4)
    costs = [charged(trial) for trial in study.trials]
    assert found.spent >= 1 > found.spent - costs[-1] / (sum(costs) / found.spent)
    assert found.over
    assert found.at(found.spent) == found.test[-1] > 0
    told = _told(study)
    list(play(task, matches_of(task, [arm]), url, tmp_path, 1))
    assert _told(open_match(task, Match(arm, 4), url)) == told


def test_a_match_that_was_cut_off_ends_as_if_it_had_not_been(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, match = task_of(), Match("random", 4)
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    list(play(task, matches_of(task, ["random"]), whole, tmp_path, 1))
    data = load_data(task, tmp_path, torch.device("cpu"))
    player = Player(task, match, url, data)
    calls = iter([Objective.__call__])

    def dies(objective: Objective, trial: optuna.Trial) -> object:
        return next(calls)(objective, trial)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "__call__", dies)
        with pytest.raises(StopIteration):
            player.play()
    assert [trial.state for trial in open_match(task, match, url).trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert not line(open_match(task, match, url), "random", 4).over
    list(play(task, matches_of(task, ["random"]), url, tmp_path, 1))
    assert _told(open_match(task, match, url)) == _told(open_match(task, match, whole))


def test_what_lies_there_of_a_match_that_was_removed_is_not_gone_on_with(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path
) -> None:
    task, match = task_of(), Match("random", 4)
    study = open_match(task, match, url)
    stale = trial_folder(artifact_root(url), study.study_name, 0) / "checkpoint.safetensors"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of another")
    seen: list[bool] = []

    def look(*_: object) -> None:
        seen.append(stale.exists())
        raise StopIteration

    player = Player(task, match, url, load_data(task, tmp_path, torch.device("cpu")))
    player._prepare = look  # type: ignore[method-assign]
    with pytest.raises(StopIteration):
        player.play()
    assert seen == [False]


def test_the_uniform_net_gets_all_of_the_compute_at_once(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path
) -> None:
    task = task_of("live.budget=3.0")
    list(play(task, matches_of(task, ["uniform at the cap"]), url, tmp_path, 1))
    study = open_match(task, Match("uniform at the cap", 4), url)
    lengths = [trial.params[LENGTH] for trial in study.trials]
    assert lengths == sorted(lengths)
    assert lengths[-1] >= 6
    found = line(study, "uniform at the cap", 4)
    assert found.spent == pytest.approx(1, abs=0.2)
    assert found.over


def test_looking_at_a_comparison_begins_no_match(task_of: Callable[..., LiveTask], url: str, tmp_path: Path) -> None:
    task = task_of("live.budget=0.1")
    list(play(task, matches_of(task, ["random"]), url, tmp_path, 1))
    assert [each.arm for each in lines_of(task, matches_of(task, ["random", "paper"]), url)] == ["random"]
    assert len(optuna.get_all_study_names(url)) == 1


def test_what_does_not_read_does_not_pay_for_it(task_of: Callable[..., LiveTask], url: str, tmp_path: Path) -> None:
    task = task_of("live.budget=0.5")
    list(play(task, matches_of(task, ["ours", "readings off"]), url, tmp_path, 1))
    reading, blind = (open_match(task, Match(arm, 4), url).trials[0] for arm in ("ours", "readings off"))
    trained = [3 * each.user_attrs["macs"] * each.user_attrs["images_seen"] for each in (reading, blind)]
    assert charged(reading) > trained[0]
    assert charged(blind) == trained[1]


@pytest.mark.parametrize("arm", [arm for arm in CONTESTANTS if not CONTESTANTS[arm].separate])
def test_every_contestant_keeps_the_cap_and_begins_alike(task_of: Callable[..., LiveTask], arm: str) -> None:
    ring = Ring(task_of(), ImageShape(1, 8, 8), 10, 1.2, 1e9)
    study = optuna.create_study(direction="maximize", pruner=CONTESTANTS[arm].pruner(ring))
    for number in range(3):
        study.sampler = CONTESTANTS[arm].sampler(ring, number)
        params = ring.coding.decode(study.ask(ring.distributions).params)
        cost, cap = ring.limits["macs"]
        assert cost(params) <= cap
        if number == 0 and arm != "paper" and not arm.startswith("after"):
            assert params == ring.first


def test_another_task_does_not_go_on_with_a_match(task_of: Callable[..., LiveTask], url: str) -> None:
    open_match(task_of(), Match("ours", 4), url)
    with pytest.raises(UserError, match="another task"):
        open_match(task_of("live.budget=2.0"), Match("ours", 4), url)


@pytest.mark.parametrize(("seeds", "message"), [("[0,-1]", r"live\.seeds\.1"), ("[0,0]", "every seed once")])
def test_seeds_of_a_comparison_are_numbers_from_0_on_each_once(
    task_of: Callable[..., LiveTask], seeds: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        task_of(f"live.seeds={seeds}")


def test_a_comparison_needs_a_cap(task_of: Callable[..., LiveTask]) -> None:
    with pytest.raises(UserError, match=r"limits\.macs"):
        task_of("limits={}")


@pytest.mark.parametrize(
    ("override", "message"),
    [("limits.macs=10", "no network of the grid keeps macs"), ("data.dataset=folder:nowhere", "nowhere")],
)
def test_a_task_that_cannot_be_played_leaves_nothing_behind(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path, override: str, message: str
) -> None:
    task, before = task_of(override), {*tmp_path.iterdir()}
    with pytest.raises(UserError, match=message):
        list(play(task, matches_of(task, ["random"]), url, tmp_path, 1))
    assert {*tmp_path.iterdir()} == before


def test_two_processes_do_not_play_one_match(
    task_of: Callable[..., LiveTask], url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, match = task_of(), Match("random", 4)
    data = load_data(task, tmp_path, torch.device("cpu"))
    first, second = (Player(task, match, url, data) for _ in range(2))

    def meanwhile(*_: object) -> None:
        with pytest.raises(UserError, match="another process plays 'tiny-random-4'"):
            second.play()
        raise InterruptedError

    monkeypatch.setattr(Objective, "__call__", meanwhile)
    with pytest.raises(InterruptedError):
        first.play()
