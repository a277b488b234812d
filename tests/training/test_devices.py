"""What must hold on every device; on CUDA nothing is bit-identical, so the results are compared by what they do."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from phashopt.networks import Blueprint, build
from phashopt.trace import Trace
from phashopt.training.checkpoint import Clock, load_checkpoint, save_checkpoint
from phashopt.training.data import DataSet
from phashopt.training.loop import Trainer, evaluate
from phashopt.training.recipe import Recipe


@pytest.fixture
def trainer(plan: Blueprint, recipe: Recipe, digits: DataSet, device: torch.device) -> Trainer:
    longer = recipe.model_copy(update={"epochs": 8})
    return Trainer(build(plan, 0), longer, digits.train.to(device), 0)


def test_training_learns(trainer: Trainer, digits: DataSet, device: torch.device) -> None:
    while not trainer.finished:
        trainer.train_epoch()
    assert evaluate(trainer.network, digits.validation.to(device)).accuracy > 0.7


def test_no_step_waits_for_the_device(trainer: Trainer, device: torch.device) -> None:
    trainer.train_epoch()
    indices = torch.arange(trainer.recipe.batch_size, device=device)
    with _refusing_to_wait(device):
        losses = [trainer._step(indices) for _ in range(3)]
    assert all(torch.isfinite(loss) for loss in losses)


def test_a_checkpoint_brings_back_weights_momenta_and_random_state(
    trainer: Trainer, plan: Blueprint, digits: DataSet, device: torch.device, tmp_path: Path
) -> None:
    trainer.train_epoch()
    save_checkpoint(tmp_path / "state", trainer, Trace(), Clock())
    other = Trainer(build(plan, 1), trainer.recipe, digits.train.to(device), 1)
    load_checkpoint(tmp_path / "state", other)
    for one, two in zip(trainer.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(one, two)
        momenta = (
            each.optimizer.state[parameter]["momentum_buffer"] for each, parameter in ((trainer, one), (other, two))
        )
        assert torch.equal(*momenta)
    draws = [torch.rand(3, generator=each.generator, device=device) for each in (trainer, other)]
    assert torch.equal(*draws)


class _Refusal:
    """Any wait for the GPU is an error while it lasts."""

    def __enter__(self) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


def _refusing_to_wait(device: torch.device) -> _Refusal | nullcontext[None]:
    return _Refusal() if device.type == "cuda" else nullcontext()
