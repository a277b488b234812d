"""How a live comparison stands: test accuracy of each contestant's choice by compute, and who was sooner."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna import Study
from optuna.trial import TrialState

from phashopt.bench.actions import Taken, taken, totals
from phashopt.bench.contestants import CONTESTANTS, SHARES
from phashopt.bench.live import (
    BUDGET_KEY,
    COMMITS_KEY,
    TEST_KEY,
    LiveTask,
    Match,
    charged,
    is_over,
    open_match,
    study_name,
    told,
)
from phashopt.bench.replay import Estimate, of_few
from phashopt.errors import UserError
from phashopt.service.storage import open_storage

RIVAL = "TPE+Hyperband"


@dataclass(frozen=True)
class Line:
    """One match: whenever the choice changed, the share of the budget spent and the choice's two accuracies."""

    arm: str
    seed: int
    compute: list[float]
    validation: list[float]
    test: list[float]
    trials: Mapping[str, int]
    spent: float
    actions: list[Taken] = field(default_factory=list)
    over: bool = True
    commit: str = ""  # that it was played at

    @property
    def known(self) -> list[float]:
        """The test accuracy of each choice within the budget."""
        return [test for compute, test in zip(self.compute, self.test, strict=True) if compute <= 1]

    def at(self, share: float) -> float:
        """Test accuracy of the choice once so much was spent; 0 before there was one."""
        done = [test for compute, test in zip(self.compute, self.test, strict=True) if compute <= share * (1 + 1e-9)]
        return done[-1] if done else 0.0

    def first(self, accuracy: float, *, beyond: bool = False) -> float:
        """The share of the budget at which the choice first had this test accuracy, or more if `beyond`; infinite."""
        for compute, test in zip(self.compute, self.test, strict=True):
            if compute <= 1 and (test > accuracy if beyond else test >= accuracy):
                return compute
        return math.inf


def lines_of(task: LiveTask, matches: Sequence[Match], url: str) -> list[Line]:
    """The matches that have begun; nothing is written. Raises `UserError` where there is no such database."""
    known = optuna.get_all_study_names(open_storage(url))
    studies = {match: open_match(task, match, url) for match in matches if study_name(task, match) in known}
    return [line(study, match.arm, match.seed) for match, study in studies.items() if BUDGET_KEY in study.user_attrs]


def published(page: Mapping[str, Any], task: LiveTask, arms: Sequence[str]) -> list[Line]:
    """The matches of `arms` in a `document`; raises `UserError` where it is of another task."""
    if page.get("task") != json.loads(told(task)):
        raise UserError("the page that is there is of another task: its matches cannot be kept beside these")
    kept = [each for each in page["lines"] if each["arm"] in arms]
    return [Line(**{**each, "actions": [Taken(**action) for action in each["actions"]]}) for each in kept]


def line(study: Study, arm: str, seed: int) -> Line:
    """The choice is the complete trial with the highest validation accuracy; what ends beyond the budget is none."""
    budget = study.user_attrs[BUDGET_KEY]
    separate = CONTESTANTS[arm].separate
    trials = study.get_trials(deepcopy=False)
    compute, validation, test = [], [], []
    spent, most = 0.0, -math.inf
    for trial in trials:
        spent = charged(trial) / budget if separate else spent + charged(trial) / budget
        if trial.state == TrialState.COMPLETE and trial.value is not None and trial.value > most:
            most = trial.value
            compute.append(spent)
            validation.append(most)
            test.append(trial.user_attrs[TEST_KEY])
    states = {state.name: sum(trial.state == state for trial in trials) for state in TrialState}
    over, commit = is_over(arm, trials, budget), ", ".join(study.user_attrs.get(COMMITS_KEY, []))
    return Line(arm, seed, compute, validation, test, states, spent, taken(study), over, commit)


def speed_up(ours: Line, rival: Line) -> float:
    """Our compute until we exceed what the rival, who has a choice, ended with, by the rival's until it had that."""
    return ours.first(rival.known[-1], beyond=True) / rival.first(rival.known[-1])


def standings(lines: Sequence[Line]) -> dict[str, dict[str, Estimate]]:
    """By contestant and share of the budget, mean test accuracy over seeds with its interval."""
    arms = dict.fromkeys(each.arm for each in lines)
    return {
        arm: {shown(share): of_few([each.at(share) for each in lines if each.arm == arm]) for share in SHARES}
        for arm in arms
    }


def gains(lines: Sequence[Line], rival: str) -> dict[str, list[float]]:
    """By contestant, test accuracy of its choice with the whole budget less that of the rival's, seed by seed."""
    return _against(lines, rival, lambda ours, theirs: ours.at(1) - theirs.at(1))


def speed_ups(lines: Sequence[Line]) -> dict[str, list[float]]:
    """By contestant, against the rivals of the same seeds that had a choice; infinite where it never got so far."""
    return _against([each for each in lines if each.arm != RIVAL or each.known], RIVAL, speed_up)


def _against(lines: Sequence[Line], rival: str, compared: Callable[[Line, Line], float]) -> dict[str, list[float]]:
    rivals = {each.seed: each for each in lines if each.arm == rival}
    found: dict[str, list[float]] = {}
    for each in lines:
        if each.seed in rivals and each.arm != rival:
            found.setdefault(each.arm, []).append(compared(each, rivals[each.seed]))
    return found


def actions_of(lines: Sequence[Line]) -> dict[str, list[Taken]]:
    """By contestant, of all its matches."""
    arms = dict.fromkeys(each.arm for each in lines)
    return {arm: [action for each in lines if each.arm == arm for action in each.actions] for arm in arms}


def shown(share: float) -> str:
    """B/30, B/10, B/3, B."""
    return "B" if share == 1 else f"B/{round(1 / share)}"


def _finite(found: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def document(lines: Sequence[Line], task: LiveTask) -> dict[str, Any]:
    """All of it as JSON, with the task; what was never reached is null."""
    return {
        "task": json.loads(told(task)),
        "standings": {
            arm: {share: _finite(each._asdict()) for share, each in row.items()}
            for arm, row in standings(lines).items()
        },
        "speed_ups": {
            arm: [ratio if math.isfinite(ratio) else None for ratio in ratios]
            for arm, ratios in speed_ups(lines).items()
        },
        "actions": {arm: totals(actions) for arm, actions in actions_of(lines).items() if actions},
        "lines": [asdict(each) for each in lines],
    }
