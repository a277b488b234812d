"""How much a search of widths could win: networks that fill the cap of a live task, beside the uniform one.

`OMP_NUM_THREADS=1 python scripts/bench_headroom.py --task studies/live/mnist.toml` trains each from scratch with a few
seeds, four times as long as a search's longest trial and otherwise as the trial that all searches begin with. The page,
HEADROOM_MNIST.md and .json after the task, goes to studies/results. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
from results import Row, percent, points, publish, run

from phashopt.bench.contenders import other_rates
from phashopt.bench.contestants import Ring
from phashopt.bench.headroom import Accuracies, filling, won
from phashopt.bench.live import LiveTask, ring_of
from phashopt.bench.replay import of_few
from phashopt.bench.retrain import Variant, load
from phashopt.bench.sitting import Sitting
from phashopt.errors import UserError
from phashopt.search.space import LENGTH, RATE
from phashopt.service.spec import Spec, load_as
from phashopt.training.datasets import default_data_dir

TASK = Path("studies/live/fashion.toml")
RATES = 5  # of the uniform network, its own in the middle
PACKAGES = ("torch", "numpy")
NOTES = """
## How to read this

- The task is `{task}`, under its cap of {cap:,} MACs; {networks} networks that fill it, so that no layer can be any
  wider: the uniform one, which all searches begin with, and random ones. Trained for {epochs} epochs each with {seeds}
  seeds, the same ones in every row, and scored on test images.
- Beyond uniform: the mean of the differences seed by seed, and its 90% interval by Student.
- What could be won by widths: of these networks the one that is best on average with all seeds but one, less the
  uniform one, with that one; in turn, so that its interval is a rough one. It is chosen on the test images, which
  flatters it: a search that chose among these could promise no more, at this length and rate.
- The command trains nothing twice: the seconds are those of its last run.
"""


def main() -> None:
    """Train what is missing, then write the tables."""
    arguments = parsed()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    started = time.perf_counter()
    task = load_as(LiveTask, arguments.task, arguments.overrides)
    spec = Spec.model_validate(task.model_dump(exclude={"live"}))
    ring = ring_of(task, load(spec, arguments.data_dir), task.study.seed)
    networks = filling(ring, arguments.networks)
    variants = [*networks, *other_rates(spec, networks[0], RATES)]
    sitting = Sitting(arguments.data_dir, arguments.work, arguments.processes)
    scores = sitting.retrain(spec, [(each, "judge", seed) for each in variants for seed in range(arguments.seeds)])
    tests = np.array([score["test"] for score in scores]).reshape(len(variants), arguments.seeds)
    of_networks = tests[: len(networks)]
    tables = {
        "What could be won by widths": [
            {
                "networks": len(networks),
                "beyond uniform, clear of 0": sum(of_few(test - tests[0]).low > 0 for test in of_networks[1:]),
                "behind it, clear of 0": sum(of_few(test - tests[0]).high < 0 for test in of_networks[1:]),
                "the best by the other seeds, beyond uniform": points(won(of_networks)),
            }
        ],
        "The networks, the best first": rows(ring, variants, tests, of_networks.mean(1).argsort()[::-1].tolist()),
        "The uniform network at other learning rates": rows(ring, variants, tests, by_rate(variants, len(networks))),
    }
    notes = NOTES.format(
        task=arguments.task,
        cap=round(task.limits.macs or 0),
        networks=len(networks),
        epochs=networks[0].numbers[LENGTH],
        seeds=arguments.seeds,
    )
    name = arguments.name or f"HEADROOM_{arguments.task.stem.upper()}"
    publish(name, "What networks at the cap reach", tables, PACKAGES, started, notes=notes, details=tests.tolist())


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, default=TASK)
    parser.add_argument("--networks", type=int, default=24, help="at most, the uniform one included")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--work", type=Path, default=Path("headroom"), help="where trainings are kept")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, default=default_data_dir())
    parser.add_argument("--name", help="of the page; another cap takes another one")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="section.key=value")
    arguments = parser.parse_args()
    if arguments.networks < 2 or arguments.seeds < 2:
        raise UserError("there is nothing to compare: take at least two networks and two seeds")
    return arguments


def by_rate(variants: Sequence[Variant], networks: int) -> list[int]:
    """The places of the uniform network among the `networks`, and of those after them."""
    return sorted([0, *range(networks, len(variants))], key=lambda place: variants[place].numbers[RATE])


def rows(ring: Ring, variants: Sequence[Variant], tests: Accuracies, places: Sequence[int]) -> list[Row]:
    """One a variant, in the order of their `places`."""
    cost = ring.limits["macs"][0]
    return [
        {
            "kernels": "-".join(map(str, variants[place].widths)),
            "MACs": f"{cost(dict(zip(ring.space.widths, variants[place].widths, strict=True))):,.0f}",
            "rate": f"{variants[place].numbers[RATE]:.3g}",
            "test": f"{percent(tests[place].mean())} +- {100 * tests[place].std(ddof=1):.2f}",
            "beyond uniform": points(list(tests[place] - tests[0])) if place else "",
        }
        for place in places
    ]


if __name__ == "__main__":
    run("bench_headroom", main)
