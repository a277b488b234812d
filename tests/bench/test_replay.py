from __future__ import annotations

import pytest

from phashopt.bench.arms import ARMS, make_arm
from phashopt.bench.replay import Course, replay, summary
from phashopt.bench.worlds import Formula, SyntheticWorld, SyntheticWorlds
from phashopt.errors import UserError

FORMULA = Formula(3)
PAIRS = ("TPESampler+HyperbandPruner", "phash+phash", "optuna.samplers:QMCSampler+MedianPruner")


@pytest.mark.parametrize("arm", [*ARMS, *PAIRS])
def test_every_arm_keeps_the_cap_from_the_first_trial_on(arm: str) -> None:
    world = SyntheticWorld(FORMULA, 0)
    search = make_arm(arm, world, 0, 12)
    for _ in range(12):
        step = search.step()
        assert world.space.feasible(step.params)
        assert 0 < step.compute <= world.compute(step.params) + 1e-9


def test_all_start_from_the_same_point() -> None:
    world = SyntheticWorld(FORMULA, 0)
    firsts = [make_arm(arm, world, 0, 12).step().params for arm in ARMS if arm != "paper"]
    assert all(first == firsts[0] for first in firsts)


@pytest.mark.parametrize("arm", ["TPESampler+NoPruner", "no.module:Sampler", "largest cost first"])
def test_an_arm_that_cannot_be_is_a_mistake(arm: str) -> None:
    with pytest.raises(UserError):
        make_arm(arm, SyntheticWorld(FORMULA, 0), 0, 12)


def test_a_replay_is_reproducible_whatever_the_processes() -> None:
    worlds = SyntheticWorlds(FORMULA)
    alone, shared = (list(replay(worlds, ["model", "TPE"], 2, 6, processes)) for processes in (1, 2))
    assert alone == shared
    assert [course.arm for course in alone] == ["model", "TPE"] * 2


def test_a_target_never_reached_counts_twice_the_search() -> None:
    course = Course("model", 0, [0.1, 0.5, 0.85], [1.0, 2.0, 3.0])
    assert course.until(0.8) == (3.0, 3.0)
    assert course.until(0.9) == (6.0, 6.0)


def test_an_interval_holds_its_mean() -> None:
    courses = [Course("model", world, [0.1 * world] * 5, [1.0] * 5) for world in range(8)]
    regret = summary(courses, "model")["regret at 5"]
    assert regret.low < regret.mean < regret.high
    assert regret.mean == pytest.approx(0.65)
