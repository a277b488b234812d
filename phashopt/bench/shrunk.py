"""A rival that needs no search: one parent, shrunk once to the uniform net at the cap, which trains with the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from phashopt.bench.contestants import Ring
from phashopt.networks import Network, build, inherit_macs, shrink
from phashopt.search.fit import uniform
from phashopt.search.space import LENGTH
from phashopt.service.objective import CALIBRATION_IMAGES
from phashopt.training.data import DataSet, sample
from phashopt.training.loop import Trainer, evaluate

PARENT_CAP = 4  # times that of the child
PARENT_SHARE = 1 / 3  # of the compute


@dataclass(frozen=True)
class Shrunk:
    """The child's parameters and accuracies, and the MACs of both trainings and of the shrinking."""

    params: dict[str, Any]
    validation: float
    test: float
    macs: float


def train_shrunk(ring: Ring, data: DataSet, budget: float, seed: int) -> Shrunk:
    """Spend `budget` MACs, at least an epoch on either network; all but the widths is as in the searches' first trial.

    Raises `Diverged`.
    """
    cost, cap = ring.limits["macs"]
    widths = uniform(ring.space)
    parent = _built(ring, data, uniform(replace(ring.space, limits={"macs": (cost, PARENT_CAP * cap)})), seed)
    _, spent = _train(ring, data, parent, budget * PARENT_SHARE, seed)
    images = data.train.standardise(sample(data.train, CALIBRATION_IMAGES))
    narrow = [min(pair) for pair in zip(parent.blueprint.widths, _counts(ring, widths), strict=True)]
    child = shrink(parent, narrow, images)
    spent += inherit_macs(parent.blueprint, narrow, len(images))
    epochs, more = _train(ring, data, child, budget - spent, seed)
    names = dict(zip(ring.spec.grids, narrow, strict=True))
    return Shrunk(
        {**ring.first, **names, LENGTH: epochs},
        evaluate(child, data.validation).accuracy,
        evaluate(child, data.test).accuracy,
        spent + more,
    )


def _built(ring: Ring, data: DataSet, widths: Mapping[str, int], seed: int) -> Network:
    return build(ring.spec.blueprint(_counts(ring, widths), data.shape, len(data.classes)), seed)


def _train(ring: Ring, data: DataSet, network: Network, budget: float, seed: int) -> tuple[int, float]:
    """As many whole epochs as the budget holds; how many, and the MACs."""
    recipe = ring.spec.recipe(ring.first, data.mirrored)
    batch = min(recipe.batch_size, len(data.train))
    price = 3 * network.blueprint.cost.macs * (len(data.train) // batch * batch)
    epochs = max(1, int(budget / price))
    trainer = Trainer(network, recipe.model_copy(update={"epochs": epochs}), data.train, seed)
    while not trainer.finished:
        trainer.train_epoch()
    return epochs, float(price * epochs)


def _counts(ring: Ring, widths: Mapping[str, int]) -> list[int]:
    return [widths[name] for name in ring.spec.grids]
