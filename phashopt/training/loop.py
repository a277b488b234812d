"""One network being trained, an epoch at a time: the same code on CPU and CUDA."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from phashopt.training.data import Images, cut, move
from phashopt.training.precision import autocast
from phashopt.training.recipe import Recipe
from phashopt.training.replay import Replay
from phashopt.training.schedule import Schedule

EVALUATION_BATCH = {"cuda": 10_000, "cpu": 125}  # one batch where the device is fast, else what its caches hold
EVALUATION_NUMBERS = 2**30  # of one layer's maps at most, 2 GB in bfloat16: a small GPU holds a few of these


class Diverged(ArithmeticError):
    """The loss is no number any more, or `what` else is none."""

    def __init__(self, epoch: int, learning_rate: float, what: str = "the loss") -> None:
        super().__init__(f"{what} became NaN or infinite in epoch {epoch} at learning rate {learning_rate:.3g}")


class Interrupted(Exception):
    """Training was asked to leave; what the last checkpoint holds is kept."""


class Score(NamedTuple):
    """Mean cross-entropy and share of images classified right."""

    loss: float
    accuracy: float


class Trainer:
    """Holds all that changes in training: weights, optimizer, schedule, random state, counters.

    `seed` fixes data order and augmentation; the network comes with its weights already drawn.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, data: Images, seed: int) -> None:
        self._data = data
        self.network = network.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe = recipe
        self.schedule = Schedule.of_length(recipe.epochs)
        self.optimizer = _optimizer(self.network, recipe)
        self.generator = torch.Generator(data.device).manual_seed(seed)
        self._replay = Replay(self.generator, self.optimizer) if data.device.type == "cuda" else None
        self.epoch = 0
        self.images_seen = 0

    @property
    def finished(self) -> bool:
        """Whether the schedule has run out."""
        return self.epoch >= self.schedule.epochs

    def train_epoch(self, interrupted: Callable[[], bool] = lambda: False) -> float:
        """Train one epoch and return its mean loss; raises `Diverged`, or `Interrupted` when `interrupted()` is true.

        Nothing is read back from the device before the epoch ends.
        """
        self.network.train()
        batch = min(self.recipe.batch_size, len(self._data))
        steps = len(self._data) // batch
        order = torch.randperm(len(self._data), generator=self.generator, device=self._data.device)
        total = torch.zeros((), device=self._data.device)
        for step, indices in enumerate(order[: steps * batch].view(steps, batch)):
            if interrupted():
                raise Interrupted
            self._set_rate(self.epoch + step / steps)
            total += self._step(indices)
        self.epoch += 1
        self.images_seen += steps * batch
        loss = total.item() / steps
        if not math.isfinite(loss):
            raise Diverged(self.epoch, self.recipe.learning_rate)
        return loss

    @property
    def learning_rate(self) -> float:
        """The rate of the last step taken."""
        return float(self.optimizer.param_groups[0]["lr"])

    def _set_rate(self, epoch: float) -> None:
        rate = self.recipe.learning_rate * self.schedule.factor(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate if self._replay is None else self._replay.rate.fill_(rate)

    def _step(self, indices: Tensor) -> Tensor:
        return self._eager_step(indices) if self._replay is None else self._replay.run(self._eager_step, indices)

    def _eager_step(self, indices: Tensor) -> Tensor:
        """The loss of the images numbered, augmented anew, before the step."""
        augmentation = self.recipe.augmentation
        pixels = move(self._data.pixels[indices], augmentation, self.generator)
        images = cut(self._data.standardise(pixels), augmentation, self.generator)
        with autocast(images.device):
            outputs = self.network(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(outputs.float(), self._data.labels[indices], label_smoothing=self.recipe.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


@torch.inference_mode()
def evaluate(network: nn.Module, data: Images) -> Score:
    """Loss and accuracy on `data`, in evaluation mode, without augmentation; the mode is left as it was."""
    loss = torch.zeros((), device=data.device)
    right = torch.zeros((), device=data.device)
    for outputs, labels in _answers(network, data):
        loss += F.cross_entropy(outputs, labels, reduction="sum")
        right += (outputs.argmax(1) == labels).sum()
    return Score(loss.item() / len(data), right.item() / len(data))


@torch.inference_mode()
def top_accuracy(network: nn.Module, data: Images, rank: int) -> float:
    """The share of images whose class is among the `rank` likeliest, as `evaluate` sees them; 1 of fewer classes."""
    right = torch.zeros((), device=data.device)
    for outputs, labels in _answers(network, data):
        likeliest = outputs.topk(min(rank, outputs.shape[1])).indices
        right += (likeliest == labels[:, None]).sum()
    return right.item() / len(data)


def _answers(network: nn.Module, data: Images) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (n, classes) in float32 and labels (n,), batch by batch."""
    was_training = network.training
    network.eval()
    batch = _evaluation_batch(network, data)
    for pixels, labels in zip(data.pixels.split(batch), data.labels.split(batch), strict=True):
        images = data.standardise(pixels)
        with autocast(images.device):
            outputs = network(images.contiguous(memory_format=torch.channels_last))
        yield outputs.float(), labels
    network.train(was_training)


def _evaluation_batch(network: nn.Module, data: Images) -> int:
    widths = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    numbers = max(widths, default=1) * data.pixels.shape[2] * data.pixels.shape[3]
    return max(1, min(EVALUATION_BATCH[data.device.type], EVALUATION_NUMBERS // numbers))


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weights of convolutions and linear layers decay; biases and batch norm do not."""
    decaying = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": decaying, "weight_decay": recipe.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        on_cuda = decaying[0].is_cuda
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True, capturable=on_cuda)
    momentum = recipe.momentum
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
