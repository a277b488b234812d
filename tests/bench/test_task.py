from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from phashopt.bench.task import RecordTask, configurations, draw
from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.service.spec import load_as

IMAGE = ImageShape(1, 8, 8)


def test_configurations_differ_keep_the_limits_and_are_always_the_same(record_file: Path) -> None:
    task = load_as(RecordTask, record_file)
    found = configurations(task, IMAGE, 10)
    assert found == configurations(task, IMAGE, 10)
    assert len({tuple(params.values()) for params in found}) == 9
    assert all(task.cost(params, IMAGE, 10).macs <= 20_000 for params in found)
    assert found[0].keys() == {"width_00", "width_01", "learning_rate"}


def test_more_than_there_are_is_a_mistake(record_file: Path) -> None:
    task = load_as(RecordTask, record_file, ["record.configurations=17", "training.learning_rate=0.1", "limits={}"])
    with pytest.raises(UserError, match="16 are all that were found"):
        configurations(task, IMAGE, 10)


def test_limits_that_no_network_keeps_are_the_mistake(record_file: Path) -> None:
    task = load_as(RecordTask, record_file, ["limits={macs=10}"])
    with pytest.raises(UserError, match=r"no network keeps the limits \(macs\); raise them"):
        configurations(task, IMAGE, 10)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("record.held_out=1", "held_out"),
        ("record.lengths=[2,1]", "increasing"),
        ("record.seeds=[0,-1]", r"record\.seeds\.1"),
        ("record.held_out=-1", r"record\.held_out"),
        ("record.seed=[0]", "did you mean 'seeds'"),
        ("recod.seeds=[0]", "did you mean 'record'"),
    ],
)
def test_a_mistake_is_one_line(record_file: Path, override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_as(RecordTask, record_file, [override])


@pytest.mark.parametrize(
    "distribution",
    [
        CategoricalDistribution(["a", 2]),
        IntDistribution(3, 12, step=3),
        IntDistribution(1, 9, log=True),
        FloatDistribution(0.1, 0.9),
        FloatDistribution(1e-4, 1e-1, log=True),
    ],
)
def test_draws_lie_in_their_distribution_and_reach_both_halves(distribution: BaseDistribution) -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(distribution, rng) for _ in range(60)]
    assert all(distribution._contains(distribution.to_internal_repr(value)) for value in drawn)
    assert len(set(drawn)) > 1
