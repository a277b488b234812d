"""Proposals that may change only on purpose: run this file as a script to write them down anew."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from phashopt.search import LONGER_KEY, NO_PARENT, PARENT_KEY, STABLE_KEY, PHashSampler, Start
from phashopt.search.sampler import Strategy
from phashopt.trace import Epoch, Reading, Trace, write_trace

GOLDEN = Path(__file__).with_name("golden.json")
NAMES = [f"width_{layer:02d}" for layer in range(4)]
SPACE: dict[str, BaseDistribution] = {
    **{name: IntDistribution(8, 64, step=8) for name in NAMES},
    "epochs": IntDistribution(2, 12),
    "learning_rate": FloatDistribution(1e-3, 0.3, log=True),
}
BEST_RATES = {"sgd": 0.03, "adam": 0.003}
WITH_CATEGORIES = SPACE | {"optimizer": CategoricalDistribution(list(BEST_RATES))}
CASES: dict[str, tuple[Strategy, dict[str, BaseDistribution]]] = {
    "model": ("model", SPACE),
    "paper": ("paper", SPACE),
    "model, categories": ("model", WITH_CATEGORIES),
    "children": ("model", SPACE),
}
STABLE = 0.7


def proposals(case: str) -> list[list[Any]]:
    """Widths, length, categories and, where there are children, actions: twenty trials in a world without chance."""
    strategy, space = CASES[case]
    limits = {"macs": (lambda w: 9 * sum(w[a] * w[b] for a, b in pairwise(NAMES)), 30_000.0)}
    inherit = case == "children"
    sampler = PHashSampler(3, strategy=strategy, widths=NAMES, limits=limits, space=space, trials=20, inherit=inherit)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(20):
        trial = study.ask(space)
        widths = [trial.params[name] for name in NAMES]
        attrs = study._storage.get_trial_system_attrs(trial._trial_id)
        length, start = attrs.get(LONGER_KEY) or trial.params["epochs"], Start.read(attrs)
        epochs = length + (start.epochs if start else 0)
        error = 0.02 + sum(0.2 * (layer + 1) / width for layer, width in enumerate(widths)) / epochs**0.3
        best = BEST_RATES[trial.params.get("optimizer", "sgd")]
        error = (0.02 + error) * (1 + 0.1 * math.log10(trial.params["learning_rate"] / best) ** 2)
        readings = {name: Reading(0.0, width / 128, 0.0) for name, width in zip(NAMES, widths, strict=True)}
        write_trace(trial, Trace([Epoch(length, error, 1 - error, 0.1, readings)]))
        if inherit:
            trial.set_user_attr(STABLE_KEY, int(STABLE * length))
        study.tell(trial, 1 - error)
    shown = [name for name in space if name != "learning_rate"]
    return [[*(trial.params[name] for name in shown), *(_action(trial) if inherit else [])] for trial in study.trials]


def _action(trial: FrozenTrial) -> list[Any]:
    """Whose weights it takes over, whether as a child, and its length if that is beyond the range."""
    attrs = trial.system_attrs
    return [attrs.get(PARENT_KEY, NO_PARENT), Start.read(attrs) is not None, attrs.get(LONGER_KEY)]


@pytest.mark.parametrize("case", CASES)
def test_proposals_are_those_written_down(case: str) -> None:
    assert proposals(case) == json.loads(GOLDEN.read_text())[case]


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    GOLDEN.write_text(json.dumps({case: proposals(case) for case in CASES}) + "\n")
