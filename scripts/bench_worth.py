"""Whether `study worth` keeps its word: gains foretold and gains had, in synthetic worlds.

`python scripts/bench_worth.py` searches every world for some trials, asks what more compute would bring by searching
on, buys exactly the trainings that the answer names, chooses again, and compares what the two choices are really worth.
The tables go to studies/results/WORTH.md and WORTH.json.
"""

from __future__ import annotations

import argparse
import time
import warnings
from statistics import mean
from typing import Any

import numpy as np
import optuna
from optuna.distributions import IntDistribution
from optuna.trial import create_trial
from results import Row, publish

from phashopt.bench.worlds import Formula, SyntheticWorld
from phashopt.search import PHashSampler
from phashopt.search.gain import by_searching, in_hand
from phashopt.search.record import Record

LAYERS = 5
TRIALS = 10
BUDGET = 8.0  # trainings at the cap and full length


def main() -> None:
    """Foretell, buy, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=16)
    worlds = parser.parse_args().worlds
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    started = time.perf_counter()
    rows = [foretold_and_had(seed) for seed in range(worlds)]
    summary = {
        "worlds": worlds,
        "gain foretold, mean": f"{100 * mean(row['foretold'] for row in rows):+.2f}",
        "gain had, mean": f"{100 * mean(row['had'] for row in rows):+.2f}",
        "had within the 90% interval": f"{mean(row['low'] <= row['had'] <= row['high'] for row in rows):.0%}",
    }
    each = [{name: value if name == "world" else f"{100 * value:+.2f}" for name, value in row.items()} for row in rows]
    title = f"{LAYERS} layers, {TRIALS} trials, then {BUDGET:g} full trainings' worth; points of accuracy"
    publish("WORTH", "What `study worth` foretells", {title: [summary], "Each world": each}, ("optuna",), started)


def foretold_and_had(seed: int) -> Row:
    """One world."""
    world = SyntheticWorld(Formula(LAYERS), seed)
    search = Search(world)
    for trial in range(TRIALS):
        search.step(1000 * seed + trial)
    model = search.sampler.model(search.study)
    before = in_hand(model)
    gain = by_searching(model, BUDGET, lambda params, _: world.compute(dict(params)))
    for number, training in enumerate(gain.trainings):
        search.add({name: training.params[name] for name in world.space.axes}, 1000 * seed + 500 + number)
    after = in_hand(search.sampler.model(search.study))
    had = search.accuracy(after) - search.accuracy(before)
    row = {"world": seed, "foretold": gain.mean, "low": gain.low, "high": gain.high, "had": had}
    print(row, flush=True)
    return row


class Search:
    """Our sampler in one world."""

    def __init__(self, world: SyntheticWorld) -> None:
        self._world = world
        axes = world.space.axes
        self._distributions = {name: IntDistribution(0, len(axis.values) - 1) for name, axis in axes.items()}
        self.sampler = PHashSampler(
            0,
            widths=list(world.space.widths),
            limits=world.space.limits,
            grid={name: list(axis.values) for name, axis in axes.items()},
            space=dict(self._distributions),
            trials=2 * TRIALS,
        )
        self.study = optuna.create_study(direction="maximize", sampler=self.sampler)

    def step(self, seed: int) -> None:
        """Train what the sampler proposes."""
        trial = self.study.ask(dict(self._distributions))
        point = {name: axis.values[trial.params[name]] for name, axis in self._world.space.axes.items()}
        self.study.tell(trial, self._trained(point, seed))

    def add(self, point: dict[str, int], seed: int) -> None:
        """Train another network."""
        params = {name: list(axis.values).index(point[name]) for name, axis in self._world.space.axes.items()}
        value = self._trained(point, seed)
        self.study.add_trial(create_trial(params=params, distributions=dict(self._distributions), value=value))

    def accuracy(self, record: Record | None) -> float:
        """What a network is really worth."""
        assert record is not None
        point: dict[str, Any] = {name: record.params[name] for name in self._world.space.axes}
        return 1 - float(np.exp(-self._world.worth(point)))

    def _trained(self, point: dict[str, int], seed: int) -> float:
        return self._world.train(point, seed).trace.epochs[-1].accuracy


if __name__ == "__main__":
    main()
