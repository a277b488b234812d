"""What came of the trials that did not begin from scratch: extensions, and children that grew, shrank or did both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna import Study
from optuna.trial import TrialState

from phashopt.search import NO_PARENT, PARENT_KEY, Start


@dataclass(frozen=True)
class Taken:
    """One such trial that was trained to its end: its kind, and its accuracy less its parent's.

    It is `accepted` if no trial before it had been as accurate: from then on it is the search's choice.
    """

    kind: str
    gain: float
    accepted: bool


def taken(study: Study) -> list[Taken]:
    """Of a study that maximises an accuracy, in the order of its trials."""
    trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
    found, most = [], -math.inf
    for trial in trials:
        if trial.state != TrialState.COMPLETE or trial.value is None:
            continue
        number = trial.system_attrs.get(PARENT_KEY, NO_PARENT)
        if number != NO_PARENT:
            parent = trials[number]
            kind = _kind(Start.read(trial.system_attrs), Start.read(parent.system_attrs))
            found.append(Taken(kind, trial.value - (parent.value or 0.0), trial.value > most))
        most = max(most, trial.value)
    return found


def totals(actions: Iterable[Taken]) -> dict[str, Mapping[str, Any]]:
    """By kind: how many, how many accepted, and the mean gain of all and of those accepted (None of none)."""
    kinds: dict[str, list[Taken]] = {}
    for action in actions:
        kinds.setdefault(action.kind, []).append(action)
    return {kind: _total(every) for kind, every in sorted(kinds.items())}


def _total(actions: list[Taken]) -> Mapping[str, Any]:
    accepted = [action.gain for action in actions if action.accepted]
    return {
        "trials": len(actions),
        "accepted": len(accepted),
        "gain": sum(action.gain for action in actions) / len(actions),
        "accepted_gain": sum(accepted) / len(accepted) if accepted else None,
    }


def _kind(start: Start | None, parents: Start | None) -> str:
    if start is None or start == parents:
        return "extension"
    if not start.moves:
        return "child, same widths"
    if start.down and start.up:
        return "child, wider and narrower"
    return "child, wider" if start.up else "child, narrower"
