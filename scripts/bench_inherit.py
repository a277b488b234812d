"""What a child inherits: which of its parent's kernels to keep, by five rules, beside a network trained from scratch.

`python scripts/bench_inherit.py --data-dir DIR` trains parents on subsets of MNIST and Fashion-MNIST at 14x14, shrinks
each by three factors under every rule with the same refit, and scores the children before training and after 1, 2 and 4
epochs at the better of two rates. It trains the same widths from scratch with the compute of parent and child together,
at the best of three lengths and two rates. Scores are on validation images. Every finished line is kept in --log, so
that an interrupted run goes on where it was; the tables go to studies/results/INHERIT.md and INHERIT.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from numpy.typing import NDArray
from results import Ledger, Row, percent, publish
from scipy import stats
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from subsets import subset
from torch import Tensor, nn

from phashopt.networks import Network, build, shrink
from phashopt.plans import Blueprint, ImageShape, Plain
from phashopt.signal import measure
from phashopt.training.data import DataSet, sample
from phashopt.training.loop import Diverged, Trainer, evaluate
from phashopt.training.recipe import Augmentation, Recipe

SETS = ("mnist", "fashion_mnist")
WIDTHS = (32, 32, 32)
FACTORS = (1.5, 2.0, 4.0)
EPOCHS = (0, 1, 2, 4)  # of a child; 0: as it was merged
RATE = 0.05  # of a parent
CHILD_RATES = (0.003, 0.01)  # a refitted network does not stand a fresh one's rate
SCRATCH_RATES = (0.05, 0.1)
SCRATCH_SHARES = (0.25, 0.5, 1.0)  # of the compute of parent and child
REFITTED_ON = 1000
PROBES = 16
CONFIDENCE = 0.9

Rule = Callable[[Network, Tensor, int, int], NDArray[np.int32]]  # parent, images, layer, kernels -> labels (K,)


def main() -> None:
    """Measure what is not in the log yet, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds torchvision's MNIST and Fashion-MNIST")
    parser.add_argument("--log", type=Path, default=Path("inherit.jsonl"))
    parser.add_argument("--parents", type=int, default=5)
    parser.add_argument("--images", type=int, default=4000, help="half of them are trained on")
    parser.add_argument("--epochs", type=int, default=12, help="of a parent")
    settings = parser.parse_args()
    started = time.perf_counter()
    log = Ledger(settings.log)
    for name in SETS:
        bench = Bench(name, subset(settings.data_dir, name, settings.images, 0.5), settings.epochs, log)
        for parent in range(settings.parents):
            bench.children(parent)
        bench.scratch(settings.parents)
    tables = {f"{name}: {title}": rows for name in SETS for title, rows in bench_tables(log.lines, name).items()}
    publish("INHERIT", "What a child inherits", tables, ("torch", "numpy"), started)


class Bench:
    """All trainings on one data set."""

    def __init__(self, name: str, data: DataSet, epochs: int, log: Ledger) -> None:
        self._name, self._data, self._epochs, self._log = name, data, epochs, log
        self._images = data.train.standardise(sample(data.train, REFITTED_ON))

    def children(self, number: int) -> None:
        """One parent and what comes of it by every rule."""
        missing = [
            (factor, rule)
            for factor, rule in product(FACTORS, RULES)
            if not self._log.has(data=self._name, parent=number, factor=factor, rule=rule)
        ]
        if not missing:
            return
        parent = self._trained(build(self._plan(WIDTHS), number), self._epochs, RATE, number)
        own = evaluate(parent, self._data.validation).accuracy
        for factor, rule in missing:
            merged = self._merged(parent, narrowed(factor), RULES[rule])
            scores = {_score(0, 0.0): evaluate(merged, self._data.validation).accuracy}
            for epochs, rate in product(EPOCHS[1:], CHILD_RATES):
                child = self._trained(deepcopy(merged), epochs, rate, number)
                scores[_score(epochs, rate)] = evaluate(child, self._data.validation).accuracy
            self._log.add({"data": self._name, "parent": number, "factor": factor, "rule": rule, "own": own, **scores})

    def _merged(self, parent: Network, widths: tuple[int, ...], rule: Rule | None) -> Network:
        if rule is None:
            return shrink(parent, widths, self._images)
        names = parent.blueprint.readouts.values()
        labels = {name: rule(parent, self._images, layer, widths[layer]) for layer, name in enumerate(names)}
        return shrink(parent, widths, self._images, labels)

    def scratch(self, seeds: int) -> None:
        """The same widths with the compute of parent and child: tuned on one seed, then judged on fresh ones."""
        for factor in FACTORS:
            widths = narrowed(factor)
            ratio = self._plan(WIDTHS).cost.macs / self._plan(widths).cost.macs
            affordable = self._epochs * ratio + EPOCHS[-1]
            recipes = [(max(1, round(share * affordable)), rate) for share in SCRATCH_SHARES for rate in SCRATCH_RATES]
            for epochs, rate in recipes:
                self._from_scratch("tuning", factor, epochs, rate, seed=0)
            tuned = [line for line in self._log.lines if self._is(line, "tuning", factor)]
            best = max(tuned, key=lambda line: line["accuracy"])
            for seed in range(1, seeds + 1):
                self._from_scratch("scratch", factor, best["epochs"], best["rate"], seed=seed)

    def _from_scratch(self, phase: str, factor: float, epochs: int, rate: float, *, seed: int) -> None:
        key = {"phase": phase, "data": self._name, "factor": factor, "epochs": epochs, "rate": rate, "seed": seed}
        if not self._log.has(**key):
            network = self._trained(build(self._plan(narrowed(factor)), seed), epochs, rate, seed)
            self._log.add({**key, "accuracy": evaluate(network, self._data.validation).accuracy})

    def _is(self, line: Row, phase: str, factor: float) -> bool:
        return {"phase": phase, "data": self._name, "factor": factor}.items() <= line.items()

    def _plan(self, widths: tuple[int, ...]) -> Blueprint:
        return Plain(kernel_size=3).plan(widths, ImageShape(1, 14, 14), len(self._data.classes))

    def _trained(self, network: Network, epochs: int, rate: float, seed: int) -> Network:
        recipe = Recipe(
            epochs=epochs, learning_rate=rate, augmentation=Augmentation(shift=1, mirror=self._data.mirrored)
        )
        trainer = Trainer(network, recipe, self._data.train, seed)
        with suppress(Diverged):  # it then scores what guessing does
            while not trainer.finished:
                trainer.train_epoch()
        return network


def _score(epochs: int, rate: float) -> str:
    return f"after {epochs} at {rate:g}" if epochs else "merged"


def narrowed(factor: float) -> tuple[int, ...]:
    """The child's widths."""
    return tuple(round(width / factor) for width in WIDTHS)


def by_energy(parent: Network, images: Tensor, layer: int, count: int) -> NDArray[np.int32]:
    """Those whose reconstructions are strongest."""
    return _only(_energy(parent, images, layer), count)


def by_weight(parent: Network, images: Tensor, layer: int, count: int) -> NDArray[np.int32]:
    """Those with the largest L1 norm (Li et al. 2017)."""
    weights = parent.get_submodule(f"layer{layer}.conv").get_parameter("weight").detach()
    return _only(weights.abs().sum((1, 2, 3)).double().numpy(), count)


def by_correlation(parent: Network, images: Tensor, layer: int, count: int) -> NDArray[np.int32]:
    """One, the strongest, of each cluster of kernels whose activations correlate (average linkage on 1 - |r|)."""
    with torch.no_grad():
        parts = list(parent.eval().children())
        maps = nn.Sequential(*parts[: list(parent.blueprint.parts).index(f"layer{layer}") + 1])(images[:200])
    rows = maps.transpose(0, 1).flatten(1).double().numpy()
    spread = rows.std(1) > 0
    correlation = np.zeros((len(rows), len(rows)))
    correlation[np.ix_(spread, spread)] = np.corrcoef(rows[spread])
    distance = 1 - np.abs(correlation)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), "average")
    return np.asarray(fcluster(tree, count, "maxclust"), dtype=np.int32)


def at_random(parent: Network, images: Tensor, layer: int, count: int) -> NDArray[np.int32]:
    """Any, another choice for each parent."""
    width = parent.blueprint.widths[layer]
    seed = int(parent.get_submodule(f"layer{layer}.conv").get_parameter("weight").detach().abs().sum() * 1000)
    return _only(np.random.default_rng(seed).random(width), count)


RULES: dict[str, Rule | None] = {
    "hash groups": None,
    "energy": by_energy,
    "L1 norm": by_weight,
    "activation correlation": by_correlation,
    "random": at_random,
}


def _energy(parent: Network, images: Tensor, layer: int) -> NDArray[np.float64]:
    name = f"layer{layer}.conv"
    return measure(parent, images[:PROBES], layers=[name], relative=True)[name].energy


def _only(scores: NDArray[np.float64], count: int) -> NDArray[np.int32]:
    """Labels that make `shrink` keep the `count` kernels with the highest scores."""
    labels = np.full(len(scores), -1, np.int32)
    labels[np.argsort(-scores, kind="stable")[:count]] = np.arange(count)
    return labels


def bench_tables(lines: list[Row], name: str) -> dict[str, list[Row]]:
    """Means over parents, and what hash groups are better by, parent against parent."""
    mine = [line for line in lines if line["data"] == name]
    accuracies = [row for factor in FACTORS for row in _accuracy_rows(mine, factor)]
    gains = [row for factor, rule in product(FACTORS, list(RULES)[1:]) for row in _gain_rows(mine, factor, rule)]
    return {"accuracy, mean (standard deviation) over parents": accuracies, "hash groups minus": gains}


def _accuracy_rows(lines: list[Row], factor: float) -> Iterator[Row]:
    for rule in RULES:
        rows = [line for line in lines if line.get("rule") == rule and line["factor"] == factor]
        scores = {f"{epochs} epochs": _spread(list(_at_best_rate(rows, epochs).values())) for epochs in EPOCHS}
        yield {"shrink": f"{factor:g}x", "kept by": rule, "parent": _spread([line["own"] for line in rows]), **scores}
    rows = [line for line in lines if line.get("phase") == "scratch" and line["factor"] == factor]
    told = f"from scratch, all compute: {rows[0]['epochs']} epochs at rate {rows[0]['rate']:g}"
    blank = {f"{epochs} epochs": "" for epochs in EPOCHS[:-1]}
    last = {f"{EPOCHS[-1]} epochs": _spread([line["accuracy"] for line in rows])}
    yield {"shrink": f"{factor:g}x", "kept by": told, "parent": "", **blank, **last}


def _gain_rows(lines: list[Row], factor: float, rule: str) -> Iterator[Row]:
    ours, theirs = (
        [line for line in lines if line.get("rule") == each and line["factor"] == factor]
        for each in (next(iter(RULES)), rule)
    )
    gains = {}
    for epochs in EPOCHS:
        left, right = _at_best_rate(ours, epochs), _at_best_rate(theirs, epochs)
        gains[f"{epochs} epochs"] = _interval([left[parent] - right[parent] for parent in left.keys() & right.keys()])
    yield {"shrink": f"{factor:g}x", "rule": rule, **gains}


def _at_best_rate(lines: list[Row], epochs: int) -> dict[int, float]:
    """Each parent's child, at the rate that is best on average for this rule, factor and length."""
    keys = [_score(epochs, rate) for rate in CHILD_RATES]
    best = max(keys, key=lambda key: mean(line[key] for line in lines))
    return {line["parent"]: line[best] for line in lines}


def _spread(scores: list[float]) -> str:
    return f"{percent(mean(scores))} ({100 * stdev(scores):.2f})"


def _interval(differences: list[float]) -> str:
    """Points, and the half width of the 90% interval of their mean."""
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return f"{100 * mean(differences):+.2f} +- {100 * half:.2f}"


if __name__ == "__main__":
    main()
