from __future__ import annotations

import os
from pathlib import Path

import pytest

from phashopt.networks import build
from phashopt.plans import Blueprint
from phashopt.trace import Epoch, Trace
from phashopt.training.checkpoint import Clock, load_checkpoint, save_checkpoint
from phashopt.training.data import DataSet
from phashopt.training.loop import Trainer
from phashopt.training.recipe import Recipe


@pytest.fixture
def trainer(plan: Blueprint, recipe: Recipe, digits: DataSet) -> Trainer:
    trainer = Trainer(build(plan, 0), recipe, digits.train, 0)
    trainer.train_epoch()
    return trainer


def fresh(trainer: Trainer, plan: Blueprint, digits: DataSet, **changes: object) -> Trainer:
    return Trainer(build(plan, 9), trainer.recipe.model_copy(update=changes), digits.train, 9)


def test_trace_clock_and_counters_come_back(trainer: Trainer, plan: Blueprint, digits: DataSet, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    trace, clock = Trace([Epoch(1, loss=0.5, accuracy=0.25)]), Clock(1.5, 0.25)
    save_checkpoint(path, trainer, trace, clock)
    other = fresh(trainer, plan, digits)
    restored, seconds = load_checkpoint(path, other)
    assert restored.to_json() == trace.to_json()
    assert seconds == clock
    assert (other.epoch, other.images_seen, other.schedule) == (1, trainer.images_seen, trainer.schedule)


def test_another_recipes_checkpoint_is_refused(
    trainer: Trainer, plan: Blueprint, digits: DataSet, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, trainer, Trace(), Clock())
    with pytest.raises(ValueError, match="written by another recipe"):
        load_checkpoint(path, fresh(trainer, plan, digits, learning_rate=0.01))


def test_a_damaged_file_is_refused_at_any_length(
    trainer: Trainer, plan: Blueprint, digits: DataSet, tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, trainer, Trace(), Clock())
    content, other = path.read_bytes(), fresh(trainer, plan, digits)
    for length in reversed(range(len(content))):
        os.truncate(path, length)
        with pytest.raises(ValueError, match="no checkpoint, or a damaged one"):
            load_checkpoint(path, other)


def test_an_absent_file_is_a_file_not_found(trainer: Trainer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none", trainer)
