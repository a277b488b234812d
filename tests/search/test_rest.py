from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from phashopt.search.basis import Basis
from phashopt.search.others import other
from phashopt.search.rest import Rest
from phashopt.search.space import Axis

from .conftest import worlds_of

WIDTHS = {"width_00": Axis([4, 8, 16]), "width_01": Axis([4, 8, 16])}
OTHERS = {
    "learning_rate": other(FloatDistribution(1e-4, 1.0, log=True)),
    "optimizer": other(CategoricalDistribution(["sgd", "adam", "rmsprop"])),
    "batch_size": other(CategoricalDistribution([32, 128])),
    "weight_decay": other(FloatDistribution(1e-6, 1e-2, log=True)),
}
SETTLED: list[dict[str, Any]] = [
    {},
    {"optimizer": "adam"},
    {"learning_rate": 0.01},
    {"learning_rate": 0.01, "batch_size": 128},
]


@pytest.mark.parametrize("settled", SETTLED)
def test_rate_and_categories_are_what_trying_all_finds(settled: dict[str, Any]) -> None:
    basis = Basis(WIDTHS, None, OTHERS, settled=settled)
    weights = worlds_of(basis, 20)
    places, _ = Rest(basis, weights).best(np.full(20, 0.5))
    rates = [0.01] if "learning_rate" in settled else np.geomspace(1e-4, 1.0, 201)
    kinds = product(["sgd", "adam", "rmsprop"], [32, 128], rates)
    widths = {"width_00": 8, "width_01": 8}
    every = [
        {**widths, "epochs": 1, "optimizer": kind, "batch_size": batch, "learning_rate": rate, "weight_decay": 1e-4}
        for kind, batch, rate in kinds
        if settled.get("optimizer", kind) == kind and settled.get("batch_size", batch) == batch
    ]
    tried = basis.coordinates(every)
    found = np.repeat(tried[:1], 20, axis=0)
    found[:, basis.rest] = places
    found[:, basis.columns["weight_decay"]] = tried[0, basis.columns["weight_decay"]]
    reached = (basis.features(found) * weights).sum(1)
    assert (reached >= (basis.features(tried) @ weights.T).max(0) - 1e-3).all()


def test_what_others_add_to_the_layers_is_how_their_slopes_move_with_width() -> None:
    basis = Basis(WIDTHS, None, OTHERS)
    weights = worlds_of(basis, 5)
    places, slopes = Rest(basis, weights).best(np.full(5, 0.5))
    narrow, wide = np.zeros((5, basis.rest.stop)), np.zeros((5, basis.rest.stop))
    narrow[:, basis.rest] = wide[:, basis.rest] = places
    wide[:, : basis.layers] = 1.0
    plain, plainly = narrow.copy(), wide.copy()
    plain[:, basis.rest] = plainly[:, basis.rest] = 0.0
    gain = [(basis.features(each) * weights).sum(1) for each in (narrow, wide, plain, plainly)]
    assert basis.layers * slopes == pytest.approx((gain[1] - gain[0]) - (gain[3] - gain[2]))


def test_a_space_without_others_has_nothing_to_choose() -> None:
    basis = Basis(WIDTHS, None, {})
    places, slopes = Rest(basis, worlds_of(basis, 4)).best(np.full(4, 0.5))
    assert places.shape == (4, 0)
    assert (slopes == 0).all()
