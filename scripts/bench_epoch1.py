"""Whether a reading after one epoch tells where a training ends, over what accuracy, loss and hyperparameters tell.

`python scripts/bench_epoch1.py` takes recorded tables: on one it chooses which readings to look at, on the others it
says what they add. Writes studies/results/EPOCH1.md and EPOCH1.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from results import RESULTS, Row, publish
from scipy.stats import kendalltau

Array = NDArray[np.float64]

SIGNALS = {
    "readings": ("redundancy", "duplicates"),
    "rivals": ("rank", "correlation", "chip", "silent", "cosine"),
}
OTHERS = ("learning_rate", "weight_decay", "batch_size")  # hyperparameters beside the widths, if a table varies them
PLACES = {"first": slice(1), "last": slice(-1, None), "mean": slice(None)}  # of layers, whatever their number
MOST = 3  # predictors chosen
FOLDS = 10
RIDGE = 1.0
RESAMPLES = 1000
PACKAGES = ("numpy", "scipy", "pandas")
NOTES = """
## How to read this

- A run is a training of the longest length. From what is known after its first epoch a ridge regression predicts the
  nats of error it ends with; tau is Kendall's, between prediction and end, {folds}-fold cross-validated, no network
  being in both parts of a fold.
- Known without a signal: validation accuracy, training loss, dead share of each layer, the logarithms of widths, rate,
  decay and batch size where they vary, and their squares. A signal is credited with what it adds to these.
- `readings` are redundancy and duplicates of the first layer, the last one and the mean over layers, `rivals` effective
  rank, mean |correlation|, CHIP's nuclear norm, silent kernels and weight cosine on the same images. At most {most} of
  them are chosen, one after the other, by tau on another table.
- Trainings that diverge before the end are left out, and told: {lost}.
- Intervals are 90%, by bootstrap over networks. The better half is that of the higher accuracies at the end.
"""


@dataclass(frozen=True)
class Trainings:
    """What was known after one epoch: `base` (n, k) without a signal, `signals` by name; ends, networks (n,)."""

    base: Array
    signals: dict[str, Array]
    ends: Array
    networks: NDArray[np.int64]
    lost: int  # trainings that diverged


def main() -> None:
    """Every table told by what was chosen on every other."""
    arguments = parsed()
    started = time.perf_counter()
    tables = {path.stem: read(path) for path in arguments.tables}
    found: list[Row] = []
    for one, other in permutations(tables, 2):
        for kind, quantities in SIGNALS.items():
            names = [f"{quantity}.{place}" for quantity in quantities for place in PLACES]
            chosen = choose(tables[one], names)
            found += [
                gained(tables[other], kind, chosen, half) | {"chosen on": one, "table": other} for half in (False, True)
            ]
    lost = ", ".join(f"{each.lost} of {name}" for name, each in tables.items())
    notes = NOTES.format(folds=FOLDS, most=MOST, lost=lost)
    publish("EPOCH1", "What one epoch tells", {"Gain in tau": found}, PACKAGES, started, notes=notes)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="*", default=sorted((RESULTS / "tables").glob("*.parquet")))
    return parser.parse_args()


def read(path: Path) -> Trainings:
    """The longest trainings of a table."""
    table = pd.read_parquet(path)
    runs = ["config", "seed"]
    table = table[table["length"] == table["length"].max()].sort_values([*runs, "epoch"])
    last = table[table["epoch"] == table["length"]].dropna(subset=["val_accuracy"]).set_index(runs)
    first = table[table["epoch"] == 1].set_index(runs)
    lost = len(first) - len(last)
    first = first.loc[last.index]
    widths = sorted(name for name in table if name.startswith("width_"))
    varied = [name for name in (*widths, *OTHERS) if name in first and first[name].nunique() > 1]
    places = np.log(first[varied].to_numpy(float))
    dead = first[[f"dead.{name}" for name in widths]].to_numpy(float)
    known = np.column_stack([_nats(first["val_accuracy"]), first["train_loss"], dead, places, places**2])
    signals = {
        f"{quantity}.{place}": _filled(first[[f"{quantity}.{name}" for name in widths[layers]]])
        for quantities in SIGNALS.values()
        for quantity in quantities
        for place, layers in PLACES.items()
    }
    networks = last.index.get_level_values("config").to_numpy(np.int64)
    return Trainings(known, signals, _nats(last["val_accuracy"]), networks, lost)


def _filled(readings: pd.DataFrame) -> Array:
    """(n,) means over layers; of a training none of whose layers had anything to read, what is usual."""
    means = readings.mean(axis=1)
    return means.fillna(means.median()).fillna(0.0).to_numpy(float)


def choose(trainings: Trainings, names: Sequence[str]) -> list[str]:
    """The predictors that add most, one after the other, while they add anything."""
    chosen: list[str] = []
    reached = tau(trainings.ends, predicted(trainings, chosen))
    while len(chosen) < MOST:
        taus = {
            name: tau(trainings.ends, predicted(trainings, [*chosen, name])) for name in names if name not in chosen
        }
        best = max(taus, key=lambda name: taus[name])
        if not taus[best] > reached:
            break
        chosen.append(best)
        reached = taus[best]
    return chosen


def gained(trainings: Trainings, kind: str, chosen: Sequence[str], better_half: bool) -> Row:
    """Tau with and without the chosen signals."""
    without, with_them = predicted(trainings, []), predicted(trainings, chosen)
    kept = trainings.ends >= np.median(trainings.ends) if better_half else np.ones(len(trainings.ends), np.bool_)
    ends, networks = trainings.ends[kept], trainings.networks[kept]
    pairs = without[kept], with_them[kept]
    before, after = (tau(ends, each) for each in pairs)
    low, high = _interval(ends, networks, pairs)
    return {
        "signal": kind,
        "chosen": ", ".join(chosen) or "none",
        "runs": f"{len(ends)}, better half" if better_half else len(ends),
        "tau without": round(before, 3),
        "tau with": round(after, 3),
        "gain": f"{after - before:+.4f} [{low:+.4f}, {high:+.4f}]",
    }


def predicted(trainings: Trainings, names: Sequence[str]) -> Array:
    """(n,) ends predicted for each fold from all others."""
    columns = np.column_stack([trainings.base, *(trainings.signals[name] for name in names)])
    folds = np.random.default_rng(0).integers(FOLDS, size=trainings.networks.max() + 1)[trainings.networks]
    found = np.empty(len(columns))
    for fold in range(FOLDS):
        rest = folds != fold
        middle, spread = columns[rest].mean(0), columns[rest].std(0) + 1e-9
        scaled = (columns - middle) / spread
        level = trainings.ends[rest].mean()
        gram = scaled[rest].T @ scaled[rest] + RIDGE * np.eye(columns.shape[1])
        weights = np.linalg.solve(gram, scaled[rest].T @ (trainings.ends[rest] - level))
        found[~rest] = level + scaled[~rest] @ weights
    return found


def tau(ends: Array, guesses: Array) -> float:
    """Kendall's."""
    return float(kendalltau(ends, guesses).statistic)


def _interval(ends: Array, networks: NDArray[np.int64], pairs: tuple[Array, Array]) -> tuple[float, float]:
    rng, every = np.random.default_rng(0), np.unique(networks)
    rows = {network: np.flatnonzero(networks == network) for network in every}
    gains = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[network] for network in rng.choice(every, len(every))])
        before, after = (tau(ends[drawn], each[drawn]) for each in pairs)
        gains.append(after - before)
    low, high = np.quantile(gains, [0.05, 0.95])
    return float(low), float(high)


def _nats(accuracies: pd.Series) -> Array:
    return -np.log(1 - accuracies.to_numpy(float) + 1e-4)


if __name__ == "__main__":
    main()
