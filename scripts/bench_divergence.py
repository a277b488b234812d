"""How many trainings a search loses where rates diverge, beside Optuna's TPE and GP.

`python scripts/bench_divergence.py` runs 30 trials in small worlds whose trainings come to nothing beyond some learning
rate, below one, or by accident, and writes studies/results/DIVERGENCE.md and DIVERGENCE.json. In most of these worlds a
network is better the higher its rate, up to where it diverges, so that the best rate lies beside those that are lost.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import TrialState
from results import Row, publish

from phashopt.bench.replay import estimate
from phashopt.search import PHashSampler

TRIALS = 30
WIDEST = 64
SPACE: dict[str, BaseDistribution] = {
    "width_00": IntDistribution(4, WIDEST),
    "width_01": IntDistribution(4, WIDEST),
    "epochs": IntDistribution(2, 12),
    "learning_rate": FloatDistribution(1e-3, 1.0, log=True),
}
NOISE = 0.05  # nats
GUESSING = 0.1


@dataclass(frozen=True)
class World:
    """Trainings fail beyond `upper` and, by chance, in a share of `accidents`; below `lower` they learn nothing.

    Where `wide` is above 0, networks with more than 32 kernels in a layer fail at lower rates.
    """

    upper: float = math.inf
    lower: float = 0.0
    accidents: float = 0.0
    wide: float = 0.0

    def accuracy(self, trial: optuna.Trial, rng: np.random.Generator) -> float:
        """Of one training; NaN where it failed."""
        first, second, epochs, rate = (trial.params[name] for name in SPACE)
        if rng.random() < self.accidents or rate > self.upper * (32 / max(first, second)) ** self.wide:
            return math.nan
        if rate < self.lower:
            return GUESSING + 0.01 * rng.random()
        away = abs(math.log(rate / min(self.upper, 0.1)))
        error = 0.3 * (64 / (first * second)) ** 0.3 * (12 / epochs) ** 0.3 * math.exp(0.25 * away)
        accuracy = 1 - error * math.exp(NOISE * rng.standard_normal())
        return max(float(accuracy), GUESSING)


WORLDS = {
    **{f"diverges beyond {rate:g}": World(upper=rate) for rate in (0.1, 0.03, 0.01, 0.004, 0.002)},
    "learns nothing below 0.03": World(lower=0.03),
    "both: between 0.01 and 0.1": World(upper=0.1, lower=0.01),
    "one in ten fails": World(accidents=0.1),
    "one in ten fails, all beyond 0.03": World(upper=0.03, accidents=0.1),
    "beyond 0.03, wide networks sooner": World(upper=0.03, wide=1.5),
}


def ours(seed: int) -> BaseSampler:
    """With a cap that every network keeps, since the others know none."""
    limits = {"macs": (lambda widths: widths["width_00"] * widths["width_01"], float(WIDEST**2))}
    return PHashSampler(seed, widths=["width_00", "width_01"], limits=limits, space=SPACE, trials=TRIALS)


def tpe(seed: int) -> BaseSampler:
    """As Optuna has it."""
    return TPESampler(seed=seed)


def gaussian_process(seed: int) -> BaseSampler:
    """As Optuna has it."""
    return GPSampler(seed=seed)


ARMS: dict[str, Callable[[int], BaseSampler]] = {"phashopt": ours, "TPE": tpe, "GP": gaussian_process}


def main() -> None:
    """Search, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    rows = list(compared(seeds))
    title = f"{TRIALS} trials, means over {seeds} seeds and their 90% intervals"
    publish("DIVERGENCE", "Trainings that come to nothing", {title: rows}, ("optuna", "numpy"), started)


def compared(seeds: int) -> Iterator[Row]:
    """One row a world and arm."""
    for (name, world), (arm, make) in product(WORLDS.items(), ARMS.items()):
        ends = [searched(world, make(seed), seed) for seed in range(seeds)]
        lost, best = (estimate(values) for values in zip(*ends, strict=True))
        row = {
            "world": name,
            "search": arm,
            "lost": f"{lost.mean:.1f} [{lost.low:.1f}, {lost.high:.1f}]",
            "best accuracy": f"{100 * best.mean:.1f}% [{100 * best.low:.1f}, {100 * best.high:.1f}]",
        }
        print(row, flush=True)
        yield row


def searched(world: World, sampler: BaseSampler, seed: int) -> tuple[float, float]:
    """How many trainings were lost, and the highest accuracy."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    seen = []
    for _ in range(TRIALS):
        trial = study.ask(SPACE)
        seen.append(world.accuracy(trial, rng))
        failed = math.isnan(seen[-1])
        study.tell(trial, None if failed else seen[-1], state=TrialState.FAIL if failed else None)
    lost = sum(not accuracy > 2 * GUESSING for accuracy in seen)
    return float(lost), max((accuracy for accuracy in seen if not math.isnan(accuracy)), default=GUESSING)


if __name__ == "__main__":
    main()
