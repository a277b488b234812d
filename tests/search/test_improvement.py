from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from scipy import stats

from phashopt.search.budget import Left
from phashopt.search.costs import Quadratic
from phashopt.search.evidence import FREEDOM
from phashopt.search.history import Past, Pending
from phashopt.search.improvement import NORMAL, STUDENT, Action, Improvement
from phashopt.search.model import Model
from phashopt.search.options import from_scratch
from phashopt.search.record import Record
from phashopt.search.space import Space
from phashopt.search.start import Start, moved
from phashopt.search.tried import Tried

MakeSpace = Callable[..., Space]
MakeRecord = Callable[..., Record]


def _actions(
    space: Space,
    records: list[Record],
    left: float,
    pending: list[dict[str, int]] | None = None,
    spent: Set[int] = frozenset(),
) -> list[Action]:
    past = Past(records, [], [Pending(params) for params in pending or []], {}, spent=spent)
    model, tried = Model(space, past), Tried(space).update(past)
    rng = np.random.default_rng(0)
    return Improvement(model, model.posterior, Quadratic(space), tried, rng, left=Left(left)).actions()


def test_kernels_go_where_they_were_worth_most(make_space: MakeSpace, records: list[Record]) -> None:
    best = _actions(make_space(1500), records, 0.0)[0].params
    assert best["width_01"] > max(best["width_00"], best["width_02"])


def test_an_interval_lies_between_that_of_a_belief_and_that_of_a_training(
    make_space: MakeSpace, records: list[Record]
) -> None:
    assert stats.norm.cdf(NORMAL) == pytest.approx(0.95, abs=1e-4)
    assert stats.t.cdf(STUDENT, FREEDOM) == pytest.approx(0.95, abs=1e-4)
    assert all(NORMAL < each.margin / each.spread < STUDENT for each in _actions(make_space(), records, 0.5))


def test_every_action_keeps_the_cap(make_space: MakeSpace, records: list[Record]) -> None:
    space = make_space(1500)
    assert all(
        space.feasible({name: action.params[name] for name in space.widths}) for action in _actions(space, records, 0.5)
    )


def test_when_nothing_is_left_the_longest_training_is_taken(make_space: MakeSpace, records: list[Record]) -> None:
    assert _actions(make_space(), records, 0.0)[0].params["epochs"] == 16


def test_while_there_is_time_compute_counts(make_space: MakeSpace, records: list[Record]) -> None:
    assert _actions(make_space(), records, 1.0)[0].params["epochs"] < 16


def test_a_finished_training_can_be_gone_on_with_for_the_added_epochs(
    make_space: MakeSpace, records: list[Record]
) -> None:
    best = max((record for record in records if record.params["epochs"] < 12), key=lambda record: record.score)
    kept = [
        replace(record, stable_epochs=record.params["epochs"] - 1) if record is best else record for record in records
    ]
    extensions = [action for action in _actions(make_space(), kept, 1.0) if action.parent]
    assert {action.parent.number for action in extensions if action.parent} == {best.number}
    for action in extensions:
        assert action.params["epochs"] > best.params["epochs"]
        assert {**action.params, "epochs": 0} == {**best.params, "epochs": 0}
    assert not [action for action in _actions(make_space(), records, 1.0) if action.parent]


@pytest.mark.parametrize(("fixed", "agrees"), [({"width_01": 1}, False), ({}, True), ({"epochs": 16}, True)])
def test_what_is_fixed_is_gone_on_with_only_where_it_was_so(
    make_space: MakeSpace, records: list[Record], fixed: dict[str, int], agrees: bool
) -> None:
    kept = [replace(record, stable_epochs=record.params["epochs"] - 1) for record in records]
    space = replace(make_space(), fixed=fixed)
    assert any(action.parent for action in _actions(space, kept, 1.0)) is agrees


def _children(space: Space, records: list[Record]) -> list[Action]:
    return [action for action in _actions(replace(space, inherits=True), records, 1.0) if action.start]


def test_children_are_only_thought_of_where_trials_may_inherit(make_space: MakeSpace, records: list[Record]) -> None:
    assert _children(make_space(), records)
    assert not [action for action in _actions(make_space(), records, 1.0) if action.start]


def test_a_child_has_the_kernels_of_the_nearest_good_network(make_space: MakeSpace, records: list[Record]) -> None:
    space = make_space()
    best = sorted(records, key=lambda record: -record.score)[:8]
    for action in (each for each in _children(space, records) if each.start and each.start.moves):
        distances = [sum(moved(space.widths, each.params, action.params)) for each in best]
        assert action.start
        assert action.parent in best
        assert action.start.epochs == action.parent.params["epochs"]
        assert (action.start.down, action.start.up) == moved(space.widths, action.parent.params, action.params)
        assert action.start.down + action.start.up == min(distance for distance in distances if distance)


def test_the_best_networks_may_be_trained_anew_from_where_they_ended(
    make_space: MakeSpace, records: list[Record]
) -> None:
    space = make_space()
    own = [action for action in _children(space, records) if action.start and not action.start.moves]
    able = [record for record in records if space.feasible(record.params)]
    best = sorted(able, key=lambda record: -record.score)[:8]
    assert {action.parent.number for action in own if action.parent} == {record.number for record in best}
    for action in own:
        assert action.parent
        assert all(action.params[name] == action.parent.params[name] for name in space.widths)
    assert len({action.params["epochs"] for action in own}) == 5


def test_what_may_not_be_chosen_is_not_trained_anew(make_space: MakeSpace, records: list[Record]) -> None:
    refused = max(records, key=lambda record: record.score).number
    children = _children(make_space(), [replace(each, feasible=each.number != refused) for each in records])
    own = [action.parent for action in children if action.start and not action.start.moves]
    assert own
    assert refused not in [parent.number for parent in own if parent]


def test_a_training_that_was_finished_early_does_not_go_on_beyond_the_range(
    make_space: MakeSpace, records: list[Record]
) -> None:
    kept = [replace(each, stable_epochs=1, epochs=each.params["epochs"] - 1) for each in records]
    actions = _actions(replace(make_space(), inherits=True), kept, 1.0)
    extensions = [action for action in actions if action.parent and not action.start]
    assert extensions
    assert max(action.params["epochs"] for action in extensions) == 16


@pytest.mark.parametrize(("inherits", "fixed"), [(True, {}), (False, {}), (True, {"epochs": 16})])
def test_a_training_goes_on_beyond_the_range_where_trials_build_on_others_and_no_length_is_given(
    make_space: MakeSpace, records: list[Record], inherits: bool, fixed: dict[str, int]
) -> None:
    kept = [replace(record, stable_epochs=record.params["epochs"] - 1) for record in records]
    space = replace(make_space(), inherits=inherits, fixed=fixed)
    extensions = [action for action in _actions(space, kept, 1.0) if action.parent and not action.start]
    beyond = [action for action in extensions if action.params["epochs"] > 16]
    assert bool(beyond) is (inherits and not fixed)
    for action in beyond:
        assert action.parent
        assert action.params["epochs"] - action.parent.params["epochs"] >= 8
        assert action.params["epochs"] - (action.parent.stable_epochs or 0) in (16, 32)


def _improvement(space: Space, records: list[Record]) -> tuple[Improvement, dict[str, Any]]:
    """Of trainings at a rate of 0.05, and a network to be weighed."""
    space = replace(space, inherits=True, others={"learning_rate": FloatDistribution(0.01, 0.3, log=True)})
    past = Past([replace(each, params={**each.params, "learning_rate": 0.05}) for each in records], [], [], {})
    model, tried, rng = Model(space, past), Tried(space).update(past), np.random.default_rng(0)
    network = {**space.at(0.5), "width_00": 64, "learning_rate": 0.05}
    return Improvement(model, model.posterior, Quadratic(space), tried, rng, left=Left(1.0)), network


def test_beside_a_long_chain_networks_from_scratch_promise_what_they_would_be_after_as_long(
    make_space: MakeSpace, records: list[Record]
) -> None:
    best = max(records, key=lambda record: record.value)
    start = Start(20 * 16, 0.0, 0.0, {"learning_rate": 0.05})
    chain = replace(best, number=99, value=0.95, score=0.95, start=start)
    improvement, network = _improvement(make_space(), [*records, chain])
    assert improvement._horizon == pytest.approx(np.log2((best.params["epochs"] + 320) / 16))
    (longest,) = (o for o in from_scratch(improvement._model.space, [network]) if o.params["epochs"] == 16)
    rows = improvement._model.basis.coordinates([longest.params])
    promised, delivered = (improvement._worth(each)[0] for each in (improvement._promised(rows, [longest]), rows))
    assert (promised > improvement._incumbent).mean() > (delivered > improvement._incumbent).mean()
    child = replace(longest, start=Start(16, 1.0, 0.0))
    assert (improvement._promised(rows, [child]) == rows).all()


def test_while_nothing_was_trained_for_longer_the_longest_length_is_the_horizon(
    make_space: MakeSpace, records: list[Record]
) -> None:
    assert _improvement(make_space(), records)[0]._horizon == 0


@pytest.mark.parametrize(("start", "fresh"), [(Start(100, 1.0, 1.0), 2), (None, 1)], ids=["child", "from scratch"])
def test_a_network_that_was_trained_as_a_child_may_still_be_trained_from_scratch(
    make_space: MakeSpace, records: list[Record], start: Start | None, fresh: int
) -> None:
    space = replace(make_space(), inherits=True)
    trained = replace(records[0], params={**records[0].params, "epochs": 16}, start=start)
    past = Past([*records[1:], trained], [], [], {})
    model, tried = Model(space, past), Tried(space).update(past)
    rows = model.basis.coordinates([trained.params, {**trained.params, "width_00": 64}])
    improvement = Improvement(model, model.posterior, Quadratic(space), tried, np.random.default_rng(0), left=Left(1.0))
    assert len(improvement._finalists(rows)) == fresh


def test_a_grandchilds_kernels_are_as_old_as_all_their_trainings(make_space: MakeSpace, records: list[Record]) -> None:
    children = [replace(record, start=Start(100, 1.0, 0.0)) for record in records]
    for action in _children(make_space(), children):
        assert action.parent
        assert action.start
        assert action.start.epochs == 100 + action.parent.params["epochs"]


def test_adopted_trials_left_no_kernels(make_space: MakeSpace, records: list[Record]) -> None:
    assert not _children(make_space(), [replace(record, adopted=True) for record in records])


def test_nothing_is_gone_on_with_whose_weights_are_gone(make_space: MakeSpace, records: list[Record]) -> None:
    kept = [replace(record, stable_epochs=record.params["epochs"] - 1) for record in records]
    space = replace(make_space(), inherits=True)
    parents = {action.parent.number for action in _actions(space, kept, 1.0) if action.parent}
    gone = set(sorted(parents)[::2])
    left = {action.parent.number for action in _actions(space, kept, 1.0, spent=gone) if action.parent}
    assert left
    assert not left & gone


def test_what_is_under_way_is_not_worth_a_second_worker(make_space: MakeSpace, records: list[Record]) -> None:
    space = make_space(1500)
    first = _actions(space, records, 0.0)[0]
    again = [a for a in _actions(space, records, 0.0, [dict(first.params)]) if a.params == first.params]
    assert all(action.score < first.score for action in again)


def test_before_the_first_trial_there_are_actions_too(make_space: MakeSpace) -> None:
    actions = _actions(make_space(), [], 1.0)
    assert actions
    assert all(np.isfinite(action.score) for action in actions)


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_before_anything_may_be_chosen_gains_do_not_depend_on_the_unit_of_a_loss(
    make_space: MakeSpace, records: list[Record], shift: float
) -> None:
    """Adopted trials teach without being what has to be beaten."""

    def first(unit: float) -> dict[str, Any]:
        losses = [(record.value - 1) * unit for record in records]
        told = [
            replace(record, value=-loss, score=loss, adopted=True) for record, loss in zip(records, losses, strict=True)
        ]
        return dict(_actions(make_space(), told, 0.5)[0].params)

    here, there = first(1.0), first(float(np.exp(shift)))
    assert (here["epochs"], here["width_01"]) == (there["epochs"], there["width_01"])
