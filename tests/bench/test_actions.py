from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from phashopt.bench.actions import Taken, taken, totals
from phashopt.search import NO_PARENT, PARENT_KEY, START_KEY


def _taken(*trials: tuple[float | None, int, list[float] | None]) -> list[Taken]:
    """Of trials with these values (None: pruned), parents and starts."""
    study = optuna.create_study(direction="maximize")
    for value, parent, start in trials:
        attrs: dict[str, Any] = {PARENT_KEY: parent} | ({START_KEY: start} if start else {})
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={"width_00": 1},
                distributions={"width_00": IntDistribution(1, 4)},
                system_attrs=attrs,
            )
        )
    return taken(study)


def test_trials_from_scratch_are_none() -> None:
    assert _taken((0.5, NO_PARENT, None), (0.6, NO_PARENT, None)) == []


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (None, "extension"),
        ([4, 1.0, 0.0], "child, narrower"),
        ([4, 0.0, 2.0], "child, wider"),
        ([4, 1.0, 2.0], "child, wider and narrower"),
        ([4, 0.0, 0.0], "child, same widths"),
    ],
)
def test_an_action_is_accepted_if_it_becomes_the_choice(start: list[float] | None, kind: str) -> None:
    found = _taken((0.5, NO_PARENT, None), (0.75, 0, start), (0.625, 0, start), (0.7, NO_PARENT, None))
    assert found == [Taken(kind, 0.25, True), Taken(kind, 0.125, False)]


def test_what_goes_on_from_a_child_is_an_extension() -> None:
    start = [4, 1.0, 0.0]
    found = _taken((0.5, NO_PARENT, None), (0.75, 0, start), (1.0, 1, start), (0.25, 1, [8, 1.0, 0.0]))
    assert [action.kind for action in found] == ["child, narrower", "extension", "child, narrower"]


def test_a_pruned_trial_is_none() -> None:
    assert _taken((0.5, NO_PARENT, None), (None, 0, [4, 1.0, 0.0])) == []


def test_totals_are_by_kind() -> None:
    actions = [Taken("extension", 0.25, True), Taken("extension", -0.75, False), Taken("child, wider", -0.5, False)]
    found = totals(actions)
    assert found["extension"] == {"trials": 2, "accepted": 1, "gain": -0.25, "accepted_gain": 0.25}
    assert found["child, wider"]["accepted_gain"] is None
