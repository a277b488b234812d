from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from phashopt.search.history import Past
from phashopt.search.model import Model
from phashopt.search.options import children, extensions, from_scratch, further
from phashopt.search.record import Record
from phashopt.search.space import Axis, Space

MakeSpace = Callable[..., Space]


@pytest.fixture
def inheriting(make_space: MakeSpace, records: list[Record]) -> Model:
    """Of trainings at a rate of 0.05 whose stable phases were kept."""
    space = replace(make_space(), inherits=True, others={"learning_rate": FloatDistribution(0.01, 0.3, log=True)})
    kept = [
        replace(each, params={**each.params, "learning_rate": 0.05}, stable_epochs=each.params["epochs"] - 1)
        for each in records
    ]
    return Model(space, Past(kept, [], [], {}))


@pytest.fixture
def network(inheriting: Model) -> dict[str, Any]:
    return {**inheriting.space.at(0.5), "width_00": 64, "learning_rate": 0.05}


def test_only_what_takes_a_known_network_further_tells_nothing_of_it(
    inheriting: Model, network: dict[str, Any]
) -> None:
    born, longer = children(inheriting, [network]), extensions(inheriting)
    assert {(bool(option.start and option.start.moves), option.tells) for option in born} == {
        (True, True),
        (False, False),
    }
    assert {(option.params["epochs"] <= 16, option.tells) for option in longer} == {(True, True), (False, False)}


def test_what_is_trained_anew_tells_of_its_network_at_full_length_and_at_its_own_rate(
    inheriting: Model, network: dict[str, Any]
) -> None:
    options = from_scratch(inheriting.space, [network])
    assert {option.params["epochs"] for option in options} > {16}
    safe = [replace(option, params={**option.params, "learning_rate": 0.01}) for option in options]
    assert all(option.shipped({"epochs": 16}) == {**network, "epochs": 16} for option in safe)


def test_a_child_tells_of_itself_at_full_length(inheriting: Model, network: dict[str, Any]) -> None:
    options = children(inheriting, [network])
    assert {option.params["epochs"] for option in options} > {16}
    assert all(option.shipped({"epochs": 16}) == {**option.params, "epochs": 16} for option in options)


@pytest.mark.parametrize("changed", [{"width_00": range(8, 17, 8)}, {"learning_rate": FloatDistribution(0.1, 0.3)}])
def test_nothing_goes_on_as_it_was_outside_of_ranges_that_were_narrowed(
    inheriting: Model, network: dict[str, Any], changed: dict[str, Any]
) -> None:
    space = inheriting.space
    widths = {name: Axis(changed[name]) if name in changed else axis for name, axis in space.widths.items()}
    others = {name: changed.get(name, each) for name, each in space.others.items()}
    model = Model(replace(space, widths=widths, others=others), Past(inheriting.finished, [], [], {}))
    goes_on = [option.parent for option in (*extensions(model), *children(model, [])) if option.parent]
    assert all(model.space.holds(parent.params) for parent in goes_on)
    assert bool(goes_on) == any(model.space.holds(record.params) for record in model.own)


@pytest.mark.parametrize(
    ("epochs", "stable", "spare", "expected"),
    [
        (16, 12, 0, [28, 44]),
        (16, 12, 20, [28, 32, 44]),  # for 16, to twice its length, for 32
        (4, 2, 100, [18, 34]),
        (40, 30, 49, [62]),  # for 16 it would be 6 epochs longer
        (40, 30, 50, [62, 80]),
        (160, 112, 207, []),
        (160, 112, 208, [320]),
    ],
)
def test_steps_beyond_the_range_are_mostly_new_and_double_what_a_study_can_spare(
    records: list[Record], epochs: int, stable: int, spare: int, expected: list[int]
) -> None:
    record = replace(records[0], params={**records[0].params, "epochs": epochs}, stable_epochs=stable)
    assert further(record, 16, spare) == expected


def test_a_long_chain_is_gone_on_with_where_the_study_has_enough_to_spare(
    make_space: MakeSpace, records: list[Record]
) -> None:
    kept = [replace(each, params={**each.params, "epochs": 160}, stable_epochs=112) for each in records]
    model = Model(replace(make_space(), inherits=True), Past(kept, [], [], {}))
    assert not extensions(model)
    assert {option.params["epochs"] for option in extensions(model, spare=208)} == {320}
