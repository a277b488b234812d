"""Proposals that may change only on purpose: run this file as a script to write them down anew."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from phashopt.search import PHashSampler
from phashopt.trace import Epoch, Reading, Trace, write_trace

GOLDEN = Path(__file__).with_name("golden.json")
NAMES = [f"width_{layer:02d}" for layer in range(4)]
SPACE: dict[str, BaseDistribution] = {
    **{name: IntDistribution(8, 64, step=8) for name in NAMES},
    "epochs": IntDistribution(2, 12),
    "learning_rate": FloatDistribution(1e-3, 0.3, log=True),
}
STRATEGIES = ("model", "paper")


def proposals(strategy: str) -> list[list[int]]:
    """Widths and length of twenty trials in a world that follows from its parameters alone."""
    limits = {"macs": (lambda w: 9 * sum(w[a] * w[b] for a, b in pairwise(NAMES)), 30_000.0)}
    sampler = PHashSampler(3, strategy=strategy, widths=NAMES, limits=limits, space=SPACE, trials=20)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(20):
        trial = study.ask(SPACE)
        widths = [trial.params[name] for name in NAMES]
        error = (
            0.02 + sum(0.2 * (layer + 1) / width for layer, width in enumerate(widths)) / trial.params["epochs"] ** 0.3
        )
        error = (0.02 + error) * (1 + 0.1 * math.log10(trial.params["learning_rate"] / 0.03) ** 2)
        readings = {name: Reading(0.0, width / 128, 0.0) for name, width in zip(NAMES, widths, strict=True)}
        write_trace(trial, Trace([Epoch(trial.params["epochs"], error, 1 - error, 0.1, readings)]))
        study.tell(trial, 1 - error)
    return [[*(trial.params[name] for name in NAMES), trial.params["epochs"]] for trial in study.trials]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_proposals_are_those_written_down(strategy: str) -> None:
    assert proposals(strategy) == json.loads(GOLDEN.read_text())[strategy]


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    GOLDEN.write_text(json.dumps({strategy: proposals(strategy) for strategy in STRATEGIES}) + "\n")
