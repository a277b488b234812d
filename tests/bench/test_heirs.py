from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial

from phashopt.bench.heirs import bequeathed
from phashopt.search import PARENT_KEY, STABLE_KEY, Start
from phashopt.search.coding import Coding
from phashopt.search.space import Axis, Space

CODING = Coding({"width_00": [4, 8, 16, 32], "width_01": [4, 8, 16, 32]})
SPACE = Space({"width_00": Axis((4, 8, 16, 32)), "width_01": Axis((4, 8, 16, 32))}, Axis(range(1, 13)))
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "width_00": IntDistribution(0, 3),
    "width_01": IntDistribution(0, 3),
    "epochs": IntDistribution(1, 12),
    "learning_rate": FloatDistribution(0.01, 0.3, log=True),
}
PROPOSED = {"width_00": 8, "width_01": 16, "epochs": 6, "learning_rate": 0.2}


def _network(first: int, second: int, epochs: int = 4) -> dict[str, Any]:
    return {"width_00": first, "width_01": second, "epochs": epochs, "learning_rate": 0.05}


def _left(params: Mapping[str, Any], *others: Mapping[str, Any]) -> tuple[dict[str, Any], Study, FrozenTrial]:
    """What is trained if `params` are proposed after `others`, the best last."""
    study = optuna.create_study(direction="maximize")
    for value, other in enumerate(others):
        study.add_trial(
            create_trial(
                params=CODING.encode(other),
                distributions=DISTRIBUTIONS,
                value=value / 10,
                user_attrs={STABLE_KEY: other["epochs"] - 1},
            )
        )
    trial = study.ask()
    found = bequeathed(SPACE, CODING, study, study._storage.get_trial(trial._trial_id), dict(params))
    return found, study, study._storage.get_trial(trial._trial_id)


def test_the_first_trial_has_no_parent() -> None:
    found, _, trial = _left(PROPOSED)
    assert found == PROPOSED
    assert PARENT_KEY not in trial.system_attrs


def test_another_network_inherits_the_kernels_of_the_nearest() -> None:
    found, _, trial = _left(PROPOSED, _network(4, 16), _network(32, 4))
    assert found == PROPOSED
    assert trial.system_attrs[PARENT_KEY] == 0
    assert Start.read(trial.system_attrs) == Start(4, 0.0, 1.0)


def test_the_same_network_goes_on_at_its_own_rate() -> None:
    found, _, trial = _left(PROPOSED, _network(8, 16), _network(4, 16))
    assert found == {**PROPOSED, "learning_rate": 0.05}
    assert trial.system_attrs[PARENT_KEY] == 0
    assert Start.read(trial.system_attrs) is None


@pytest.mark.parametrize("epochs", [6, 12])
def test_the_same_network_that_was_trained_for_as_long_begins_where_it_ended(epochs: int) -> None:
    found, _, trial = _left(PROPOSED, _network(8, 16, epochs))
    assert found == PROPOSED
    assert trial.system_attrs[PARENT_KEY] == 0
    assert Start.read(trial.system_attrs) == Start(epochs, 0.0, 0.0)


def test_what_was_gone_on_with_before_begins_where_it_ended() -> None:
    longer = {**_network(8, 16), "epochs": PROPOSED["epochs"]}
    found, _, trial = _left(PROPOSED, longer, _network(8, 16))
    assert found == PROPOSED
    assert trial.system_attrs[PARENT_KEY] == 1
    assert Start.read(trial.system_attrs) == Start(4, 0.0, 0.0)
