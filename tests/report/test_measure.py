from __future__ import annotations

import math

import pytest
from torch import nn

from phashopt.networks import build
from phashopt.plans import Blueprint, Plain
from phashopt.report.exhibit import gather, measured
from phashopt.report.measure import epoch_seconds, latencies, step_bytes, training_accuracy
from phashopt.training.data import DataSet
from phashopt.training.loop import evaluate
from phashopt.training.recipe import Recipe

from .conftest import Real


@pytest.fixture
def plan(digits: DataSet) -> Blueprint:
    return Plain(kernel_size=3).plan([4, 6], digits.shape, 10)


def test_memory_grows_by_the_same_with_every_image(digits: DataSet, plan: Blueprint) -> None:
    network = build(plan, 0)
    sizes = [step_bytes(network, Recipe(epochs=1, learning_rate=0.1, batch_size=n), digits.shape) for n in (8, 16, 24)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > 8 * 4 * digits.shape.height * digits.shape.width


def test_memory_holds_the_weights_and_leaves_no_gradient(digits: DataSet, plan: Blueprint) -> None:
    network = build(plan, 0)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    assert step_bytes(network, Recipe(epochs=1, learning_rate=0.1, batch_size=1), digits.shape) > weights
    assert all(parameter.grad is None for parameter in network.parameters())


def test_every_network_has_its_own_latency(digits: DataSet, plan: Blueprint) -> None:
    slow = nn.Sequential(*(nn.Conv2d(1, 1, 1) for _ in range(300)))
    fast, slower = latencies([build(plan, 0), slow], digits.shape)
    assert 0 < fast < slower


def test_training_accuracy_is_the_loops_own(digits: DataSet, plan: Blueprint) -> None:
    network = build(plan, 0)
    assert training_accuracy(network, digits) == evaluate(network, digits.train).accuracy


def test_an_epoch_takes_time(digits: DataSet, plan: Blueprint) -> None:
    assert epoch_seconds(plan, Recipe(epochs=2, learning_rate=0.1, batch_size=8), digits) > 0


def test_an_epoch_that_diverges_takes_no_time(digits: DataSet, plan: Blueprint) -> None:
    assert math.isnan(epoch_seconds(plan, Recipe(epochs=1, learning_rate=1e12), digits))


def test_a_real_trial_is_measured_whole(real: Real) -> None:
    (*_, exhibit) = measured(gather(real.summary, real.root), real.data)
    assert all(math.isfinite(value) for value in vars(exhibit.measured).values())


def test_without_images_latency_and_memory_remain(real: Real) -> None:
    (*_, exhibit) = measured(gather(real.summary, real.root), None)
    assert math.isfinite(exhibit.measured.latency_ms)
    assert math.isfinite(exhibit.measured.step_bytes)
    assert math.isnan(exhibit.measured.training_accuracy)
