from __future__ import annotations

import pytest

from phashopt.bench.arms import ARMS, make_arm
from phashopt.bench.replay import Course, replay, summary
from phashopt.bench.worlds import Formula, SyntheticWorld

FORMULA = Formula(3)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_keeps_the_cap_from_the_first_trial_on(arm: str) -> None:
    world = SyntheticWorld(FORMULA, 0)
    search = make_arm(arm, world, 0, 12)
    for trial in range(12):
        point, accuracy = search.step(lambda point, seed=trial: world.train(point, seed))
        assert world.space.feasible(point)
        assert 0 < accuracy < 1


def test_all_start_from_the_same_widths() -> None:
    world = SyntheticWorld(FORMULA, 0)
    firsts = [make_arm(arm, world, 0, 12).step(lambda point: world.train(point, 0))[0] for arm in ARMS]
    assert len({tuple(first[name] for name in world.space.widths) for first in firsts}) == 1


def test_a_replay_is_reproducible_whatever_the_processes() -> None:
    alone, shared = (list(replay(FORMULA, ["model", "TPE"], 2, 6, processes)) for processes in (1, 2))
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
