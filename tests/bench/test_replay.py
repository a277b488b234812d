from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna import Study
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial
from scipy import stats

from phashopt.bench.arms import ARMS, BELIEF, FIRST_ORDER, make_arm
from phashopt.bench.placed import Listed, Values
from phashopt.bench.replay import Course, Replayed, counts, in_words, of_few, replay, summary
from phashopt.bench.search import Search, coding
from phashopt.bench.worlds import Formula, SyntheticWorld, SyntheticWorlds
from phashopt.errors import UserError
from phashopt.search import PARENT_KEY
from phashopt.search.space import LENGTH

FORMULA = Formula(3)
PAIRS = ("TPESampler+HyperbandPruner", "phash+phash", "optuna.samplers:QMCSampler+MedianPruner")


class Extending(Listed):
    """Every trial but the first goes on from the first."""

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict) -> Values:  # type: ignore[type-arg]
        study._storage.set_trial_system_attr(trial._trial_id, PARENT_KEY, 0 if trial.number else -1)
        return super().sample_relative(study, trial, search_space)


class Impatient(BasePruner):
    """Lets no trial but the first come to its end."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        return trial.number > 0


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
    searches = [*product(range(2), ["model", "TPE"])]
    alone, shared = (list(replay(worlds, searches, 6, processes)) for processes in (1, 2))
    assert alone == shared
    assert [(course.world, course.arm) for course in alone] == searches


@pytest.mark.parametrize("arm", ["model", "TPE", PAIRS[0]])
def test_a_choice_by_belief_is_of_the_same_search(arm: str) -> None:
    worlds = SyntheticWorlds(FORMULA)
    plain, believed = replay(worlds, [(0, arm), (0, f"{arm}{BELIEF}")], 8, 1)
    assert believed.compute == plain.compute
    assert believed.reached[0] == plain.reached[0]


def test_a_choice_by_belief_is_less_misled_by_noise() -> None:
    worlds = SyntheticWorlds(replace(FORMULA, noise=0.3))
    searches = [*product(range(6), ["TPE", f"TPE{BELIEF}"])]
    ends = [course.reached[-1] for course in replay(worlds, searches, 16, 1)]
    assert sum(ends[1::2]) > sum(ends[::2])


def test_a_target_never_reached_counts_twice_the_search_however_little_it_spent() -> None:
    course = Course("model", 0, [0.1, 0.5, 0.85], [1.0, 2.0, 3.0])
    assert course.until(0.8) == (3.0, 3.0)
    assert course.until(0.9) is None
    idle = replace(course, arm="idle", reached=[0.1] * 3, compute=[0.1, 0.2, 0.3])
    found = summary([course, idle], "idle")
    assert (found["trials to 90%"].mean, found["compute to 90%"].mean) == (6.0, 6.0)


def test_of_few_values_the_interval_is_students() -> None:
    values = [0.1, 0.4, 0.2]
    found = of_few(values)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.9, 2, np.mean(values), stats.sem(values)))
    assert of_few([0.5]) == (0.5, -math.inf, math.inf)
    assert of_few([0.5]).percent == "50.00%"
    assert of_few([0.99, 0.9]).percent == "94.50% [66.09%, 100.00%]"


def test_an_interval_holds_its_mean() -> None:
    courses = [Course("model", world, [0.1 * world] * 5, [1.0] * 5) for world in range(8)]
    regret = summary(courses, "model")["regret at 5"]
    assert regret.low < regret.mean < regret.high
    assert regret.mean == pytest.approx(0.65)


@pytest.mark.parametrize("arm", [*ARMS, *FIRST_ORDER, *PAIRS])
def test_every_arm_goes_through_a_recorded_table(telling: Path, arm: str) -> None:
    world = Replayed(telling, 1.0)(0)
    search = make_arm(arm, world, 0, 5)
    steps = [search.step() for _ in range(3)]
    assert len({world.key(step.params) for step in steps}) == 3
    assert all(step.compute > 0 for step in steps)


def test_an_extension_pays_for_its_own_epochs_only(telling: Path) -> None:
    world = Replayed(telling, 1.0)(0)
    short = world.nearest({**world.ordered(world.macs)[0], LENGTH: 2}, set())
    points = [coding(world.space).encode(params) for params in (short, {**short, LENGTH: 3})]
    search = Search(world, Extending(points, world.distributions))
    first, second = search.step(), search.step()
    assert (first.extends, second.extends) == (False, True)
    assert second.compute == pytest.approx(first.compute)  # one epoch was shared, two were trained each time


def test_an_extension_is_stopped_in_its_own_epochs_only(telling: Path) -> None:
    world = Replayed(telling, 1.0)(0)
    short = world.nearest({**world.ordered(world.macs)[0], LENGTH: 2}, set())
    points = [coding(world.space).encode(params) for params in (short, {**short, LENGTH: 3})]
    search = Search(world, Extending(points, world.distributions), Impatient())
    first, second = search.step(), search.step()
    assert [trial.state.name for trial in search.study.trials] == ["COMPLETE", "PRUNED"]
    assert second.extends
    assert second.compute == pytest.approx(first.compute / 2)


def test_a_table_counts_only_if_it_takes_a_search(telling: Path) -> None:
    courses = [Course(arm, 0, [0.95] * 12, [1.0] * 12) for arm in FIRST_ORDER]
    verdict = counts(Replayed(telling, 1.0), courses)
    assert not verdict["counts"]
    assert set(verdict["late"].values()) == {0.0}
    assert verdict["floor"] == 0.0  # all seeds agree


def test_a_search_that_trains_everything_is_misled_by_its_seed(telling: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(telling)
    misled = frame["val_accuracy"].where(frame["seed"] == frame["seed"].max(), 1 - frame["val_accuracy"])
    frame.assign(val_accuracy=misled).to_parquet(tmp_path / "misled.parquet")
    world = Replayed(tmp_path / "misled.parquet", 1.0)(0)
    assert world.chosen == min(world.worth(world._shown(place)) for place in world.feasible)
    assert Replayed(telling, 1.0)(0).chosen == world.best


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_has_a_course(arm: str) -> None:
    (course,) = replay(SyntheticWorlds(FORMULA), [(0, arm)], 10, 1)
    assert course.compute == sorted(course.compute)
    assert len(course.reached) == 10


def test_a_training_that_is_repeated_ends_as_it_did_and_is_paid_for_once() -> None:
    world = SyntheticWorld(FORMULA, 0)
    points = [coding(world.space).encode({**world.space.at(0.3), LENGTH: length}) for length in (6, 9, 6)]
    search = Search(world, Listed(points, world.distributions))
    first, other, again = (search.step() for _ in points)
    assert again.accuracy == first.accuracy != other.accuracy


@pytest.mark.parametrize(("pruner", "reads"), [("phash", True), ("MedianPruner", False), (f"NopPruner{BELIEF}", True)])
def test_whoever_looks_at_readings_pays_for_them(telling: Path, pruner: str, reads: bool) -> None:
    world = Replayed(telling, 1.0)(0)
    plain, looking = (make_arm(f"RandomSampler+{each}", world, 0, 5).step() for each in ("NopPruner", pruner))
    assert plain.params == looking.params
    assert (looking.compute > plain.compute) == reads


def test_where_every_network_fits_there_is_no_search() -> None:
    with pytest.raises(UserError, match="lower it"):
        list(replay(SyntheticWorlds(replace(FORMULA, cap=1.0)), [(0, "random")], 5, 1))


@pytest.mark.parametrize(("trials", "shown"), [(6, None), (12, 1.0)])
def test_of_a_search_of_few_trials_nobody_knows_how_many_it_needs(
    telling: Path, trials: int, shown: float | None
) -> None:
    verdict = counts(Replayed(telling, 1.0), [Course(arm, 0, [0.5] * trials, [1.0] * trials) for arm in FIRST_ORDER])
    assert set(verdict["late"].values()) == {shown}
    assert ("nobody knows" in in_words(verdict)) == (shown is None)
