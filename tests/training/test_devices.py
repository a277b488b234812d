"""What must hold on every device: the same training twice ends at the same weights, to the last bit."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from phashopt.networks import build
from phashopt.plans import Blueprint
from phashopt.trace import Trace
from phashopt.training.checkpoint import Clock, load_checkpoint, save_checkpoint
from phashopt.training.data import DataSet
from phashopt.training.film import Camera
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


@pytest.fixture(params=["sgd", "adamw"])
def short(recipe: Recipe, request: pytest.FixtureRequest) -> Recipe:
    return recipe.model_copy(update={"epochs": 3, "batch_size": 32, "optimizer": request.param, "learning_rate": 0.01})


def same_weights(one: Trainer, two: Trainer) -> bool:
    pairs = zip(one.network.parameters(), two.network.parameters(), strict=True)
    return all(torch.equal(left.detach().cpu(), right.detach().cpu()) for left, right in pairs)


def test_recorded_steps_train_as_eager_ones_do(
    plan: Blueprint, short: Recipe, digits: DataSet, device: torch.device
) -> None:
    """On the CPU all are eager: there it says that nothing but the seed decides."""
    recorded, eager = (Trainer(build(plan, 0), short, digits.train.to(device), 0) for _ in range(2))
    eager._replay = None
    assert [recorded.train_epoch() for _ in range(3)] == [eager.train_epoch() for _ in range(3)]
    assert same_weights(recorded, eager)
    draws = [torch.rand(3, generator=each.generator, device=device) for each in (recorded, eager)]
    assert torch.equal(*draws)


def test_a_resumed_training_ends_bit_identical(
    plan: Blueprint, short: Recipe, digits: DataSet, device: torch.device, tmp_path: Path
) -> None:
    whole, taken_up = (Trainer(build(plan, seed), short, digits.train.to(device), seed) for seed in (0, 1))
    taken_up.train_epoch()  # recorded already, with other weights and momenta
    whole.train_epoch()
    save_checkpoint(tmp_path / "state", whole, Trace(), Clock())
    load_checkpoint(tmp_path / "state", taken_up)
    for trainer in (whole, taken_up):
        while not trainer.finished:
            trainer.train_epoch()
    assert same_weights(whole, taken_up)


def test_a_training_goes_on_on_another_device(
    plan: Blueprint, short: Recipe, digits: DataSet, device: torch.device, tmp_path: Path
) -> None:
    """There and back."""
    places = (digits.train, digits.train.to(device), digits.train)
    trainers = [Trainer(build(plan, seed), short, images, seed) for seed, images in enumerate(places)]
    for one, two in pairwise(trainers):
        one.train_epoch()
        save_checkpoint(tmp_path / "state", one, Trace(), Clock())
        load_checkpoint(tmp_path / "state", two)
        assert same_weights(one, two)
    assert trainers[-1].epoch == 2


def test_a_network_that_is_filmed_trains_as_one_that_is_not(
    plan: Blueprint, short: Recipe, digits: DataSet, device: torch.device, tmp_path: Path
) -> None:
    images = digits.train.to(device)
    filmed, other = (Trainer(build(plan, 0), short, images, 0) for _ in range(2))
    Camera(tmp_path, images, plan.readouts).shoot(filmed.network, 0, last=False)
    for trainer in (filmed, other):
        trainer.train_epoch()
    assert same_weights(filmed, other)


class _Refusal:
    """Any wait for the GPU is an error while it lasts."""

    def __enter__(self) -> None:
        torch.cuda.set_sync_debug_mode("error")

    def __exit__(self, *_: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


def _refusing_to_wait(device: torch.device) -> _Refusal | nullcontext[None]:
    return _Refusal() if device.type == "cuda" else nullcontext()
