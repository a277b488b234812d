from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from phashopt.networks import build
from phashopt.plans import Blueprint, Plain
from phashopt.training.data import DataSet
from phashopt.training.loop import Diverged, Interrupted, Trainer, evaluate, top_accuracy
from phashopt.training.recipe import Recipe


def trained(plan: Blueprint, recipe: Recipe, digits: DataSet, seed: int = 0) -> Trainer:
    trainer = Trainer(build(plan, seed), recipe, digits.train, seed)
    while not trainer.finished:
        trainer.train_epoch()
    return trainer


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_training_learns(plan: Blueprint, recipe: Recipe, digits: DataSet, optimizer: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 0.01
    longer = recipe.model_copy(update={"optimizer": optimizer, "learning_rate": rate, "epochs": 8})
    assert evaluate(trained(plan, longer, digits).network, digits.validation).accuracy > 0.7


def test_training_without_momentum_learns(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    plain = recipe.model_copy(update={"momentum": 0.0})
    trainer = Trainer(build(plan, 0), plain, digits.train, 0)
    assert trainer.train_epoch() > trainer.train_epoch()


def test_the_seed_fixes_every_weight(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    first, again = (trained(plan, recipe, digits, seed=3).network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_training_leaves_the_global_random_state_alone(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    before = torch.get_rng_state()
    trained(plan, recipe, digits)
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_no_number_names_its_epoch_and_rate(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    trainer = Trainer(build(plan, 0), recipe, digits.train, 0)
    with torch.no_grad():
        next(trainer.network.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match=r"epoch 1 at learning rate 0\.05"):
        trainer.train_epoch()


def test_an_interrupt_is_heard_within_the_epoch(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    answers = iter([False, False, True])
    trainer = Trainer(build(plan, 0), recipe, digits.train, 0)
    with pytest.raises(Interrupted):
        trainer.train_epoch(lambda: next(answers))
    assert trainer.epoch == 0


def test_images_seen_counts_whole_batches(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    per_epoch = len(digits.train) // recipe.batch_size * recipe.batch_size
    assert trained(plan, recipe, digits).images_seen == recipe.epochs * per_epoch


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_mode_and_statistics_as_they_were(plan: Blueprint, digits: DataSet, training: bool) -> None:
    network = build(plan, 0).train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluate(network, digits.validation)
    assert network.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_accuracy_is_the_share_of_right_answers(digits: DataSet) -> None:
    always_three = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(always_three[1].weight)
    always_three[1].bias.data = torch.eye(10)[3]
    share = (digits.validation.labels == 3).float().mean().item()
    assert evaluate(always_three, digits.validation).accuracy == pytest.approx(share)


def test_only_weights_decay(plan: Blueprint, recipe: Recipe, digits: DataSet) -> None:
    trainer = Trainer(build(plan, 0), recipe, digits.train, 0)
    decaying, free = trainer.optimizer.param_groups
    assert {parameter.ndim for parameter in free["params"]} == {1}
    assert free["weight_decay"] == 0 < decaying["weight_decay"]


class ReadBacks(TorchDispatchMode):
    """Counts the numbers that are read back from the device: each one makes the host wait for it."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        waits = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.is_nonzero)
        self.count += func.overloadpacket in waits
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("batch_size", [50, 150])
def test_an_epoch_waits_for_the_device_once(plan: Blueprint, recipe: Recipe, digits: DataSet, batch_size: int) -> None:
    trainer = Trainer(build(plan, 0), recipe.model_copy(update={"batch_size": batch_size}), digits.train, 0)
    with ReadBacks() as epoch:
        trainer.train_epoch()
    assert epoch.count == 1


def test_the_right_class_among_the_likeliest_few(digits: DataSet) -> None:
    network = build(Plain(kernel_size=3).plan([4], digits.shape, 10), 0)
    shares = [top_accuracy(network, digits.validation, rank) for rank in (1, 5, 10, 11)]
    assert shares[0] == evaluate(network, digits.validation).accuracy
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("numbers", [1, 64 * 16 * 7, 2**30])
def test_scores_do_not_depend_on_how_many_images_the_device_holds_at_once(
    plan: Blueprint, digits: DataSet, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    network = build(plan, 0)
    whole = evaluate(network, digits.validation)
    monkeypatch.setattr("phashopt.training.loop.EVALUATION_NUMBERS", numbers)
    assert evaluate(network, digits.validation) == pytest.approx(whole)
