"""A data set small enough to train on in a blink, and what training needs besides."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from phashopt.plans import Blueprint, Plain
from phashopt.signal import Probe
from phashopt.training.data import DataSet, choose_probes, load_raw, prepare
from phashopt.training.recipe import Augmentation, Recipe


@pytest.fixture(scope="session")
def digits() -> DataSet:
    raw = load_raw("digits", Path())
    return prepare(raw, validation=0.25, limit=600, seed=0, device=torch.device("cpu"))


@pytest.fixture
def plan(digits: DataSet) -> Blueprint:
    return Plain(kernel_size=3, batch_norm=True).plan([4, 6], digits.shape, len(digits.classes))


@pytest.fixture
def probe(digits: DataSet, plan: Blueprint) -> Probe:
    train = digits.train
    return Probe(train.standardise(train.pixels[choose_probes(train, 8, 0)]), widths=plan.readouts)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(epochs=4, learning_rate=0.05, augmentation=Augmentation(shift=1, mirror=False, cutout=2))
