"""How fast a trial trains: beside a plain PyTorch loop doing the same work, and beside what the device can multiply.

`python scripts/bench_training.py --data-dir DIR` prints the tables and writes studies/results/TRAINING.md and
TRAINING.json, on the CPU and, where there is a device, on CUDA. The plain loop is a tutorial's: torchvision's data set
and transforms, a DataLoader, float32, one `loss.item()` a step.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean, stdev

import torch
from results import Row, available_devices, percent, publish, wall_seconds
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets
from torchvision import transforms as T

from phashopt.networks import Blueprint, ImageShape, Plain, ResNet, Vgg, build
from phashopt.training.data import Augmentation, Images, Standardisation, load_raw
from phashopt.training.loop import Trainer, evaluate
from phashopt.training.recipe import Recipe
from phashopt.training.schedule import Schedule

ROUNDS = 3
SEEDS = 3
TEST_IMAGES = 5_000
CUDA_IMAGES = 50_000
SHIFT = 2
RECIPE = Recipe(epochs=4, learning_rate=0.02, batch_size=64, augmentation=Augmentation(shift=SHIFT, mirror=True))
LOADERS = 8  # processes that decode and augment for the plain loop on CUDA; on the CPU they would take cores from it
PEAK_SIDE = {"cpu": 4096, "cuda": 16384}
SOURCE = {"mnist": datasets.MNIST, "cifar10": datasets.CIFAR10}
GREY, COLOUR = ImageShape(1, 28, 28), ImageShape(3, 32, 32)


@dataclass(frozen=True, eq=False)  # hashed as itself
class Case:
    """A network, its data set, the training images a CPU is given, and what four epochs of them reach with ease."""

    name: str
    blueprint: Blueprint
    dataset: str
    cpu_images: int
    cpu_target: float
    cuda_target: float


CASES = (
    Case("plain 32-64", Plain().plan((32, 64), GREY, 10), "mnist", 10_000, 0.95, 0.99),
    Case("plain 32-64", Plain().plan((32, 64), COLOUR, 10), "cifar10", 6_000, 0.45, 0.70),
    Case("vgg 32 to 128", Vgg().plan((32, 32, 64, 64, 128, 128), COLOUR, 10), "cifar10", 4_000, 0.40, 0.80),
    Case("resnet-20", ResNet().plan((16,) * 4 + (32,) * 4 + (64,) * 4, COLOUR, 10), "cifar10", 2_000, 0.30, 0.75),
)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds torchvision's MNIST and CIFAR-10")
    folder = parser.parse_args().data_dir
    started = time.perf_counter()
    runs = [(device, case, folder) for device in available_devices() for case in CASES]
    accuracy_title = f"Seconds of training to an accuracy on {TEST_IMAGES:,} test images, {SEEDS} seeds of 4 epochs"
    tables = {
        "Training images a second, the best of three epochs": [images_a_second(*run) for run in runs],
        accuracy_title: [to_accuracy(*run) for run in runs],
    }
    publish("TRAINING", "The speed of a training", tables, ("torch", "torchvision"), started)


def images_a_second(device: torch.device, case: Case, folder: Path) -> Row:
    """Ours and theirs in turn, so that whatever else the machine does slows both."""
    ours, theirs = our_loop(device, case, folder, 0), PlainLoop(device, case, folder, 0)
    ours.train_epoch()
    fast = slow = 0.0
    for _ in range(ROUNDS):
        fast = max(fast, epoch_images(device, case) / wall_seconds(device, ours.train_epoch))
        slow = max(slow, epoch_images(device, case) / wall_seconds(device, theirs.train_epoch))
    achieved = 3 * case.blueprint.cost.macs * fast
    return {
        "device": device.type,
        "network": case.name,
        "data": case.dataset,
        "batch": RECIPE.batch_size,
        "plain loop": round(slow),
        "phashopt": round(fast),
        "times faster": round(fast / slow, 1),
        "GMAC/s": round(achieved / 1e9),
        "of a large bf16 product's": f"{percent(achieved / peak(device))} of {peak(device) / 1e9:,.0f}",
    }


def to_accuracy(device: torch.device, case: Case, folder: Path) -> Row:
    """Until the target is first reached at an epoch's end, evaluation not counted, and where both loops end."""
    test = images(case, folder, train=False, count=TEST_IMAGES).to(device)
    ours = [progress(our_loop(device, case, folder, seed), test) for seed in range(SEEDS)]
    theirs = [progress(PlainLoop(device, case, folder, seed), test) for seed in range(SEEDS)]
    target = case.cpu_target if device.type == "cpu" else case.cuda_target
    return {
        "device": device.type,
        "network": case.name,
        "data": f"{case.dataset}, {epoch_images(device, case):,} images",
        "target": f"{target:.0%}",
        "plain loop": until(target, theirs),
        "phashopt": until(target, ours),
        "plain loop ends at": ends(theirs),
        "phashopt ends at": ends(ours),
    }


Progress = list[tuple[float, float]]  # seconds of training so far, test accuracy


def progress(loop: Trainer | PlainLoop, test: Images) -> Progress:
    """One training from first epoch to last."""
    spent, rows = 0.0, []
    for _ in range(RECIPE.epochs):
        spent += wall_seconds(test.device, loop.train_epoch)
        rows.append((spent, evaluate(loop.network, test).accuracy))
    return rows


def until(target: float, runs: list[Progress]) -> str:
    """Mean seconds of the runs that got there."""
    reached = [next((spent for spent, accuracy in run if accuracy >= target), None) for run in runs]
    times = [spent for spent in reached if spent is not None]
    return f"{mean(times):.1f} s ({len(times)} of {len(runs)})" if times else "not reached"


def ends(runs: list[Progress]) -> str:
    """Mean and standard deviation of the last accuracies."""
    last = [run[-1][1] for run in runs]
    return f"{mean(last):.2%} +- {stdev(last):.2%}"


def our_loop(device: torch.device, case: Case, folder: Path, seed: int) -> Trainer:
    """As a trial trains."""
    data = images(case, folder, train=True, count=epoch_images(device, case)).to(device)
    return Trainer(build(case.blueprint, seed), RECIPE, data, seed)


class PlainLoop:
    """The same network, schedule, optimizer and augmentation in the loop of a tutorial."""

    def __init__(self, device: torch.device, case: Case, folder: Path, seed: int) -> None:
        self._device = device
        self.network = build(case.blueprint, seed).to(device)
        self._optimizer = torch.optim.SGD(
            self.network.parameters(),
            RECIPE.learning_rate,
            momentum=RECIPE.momentum,
            nesterov=True,
            weight_decay=RECIPE.weight_decay,
        )
        data = images(case, folder, train=True, count=epoch_images(device, case))
        steps = [
            T.RandomCrop(data.pixels.shape[-1], padding=SHIFT, padding_mode="reflect"),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize(data.standardisation.mean, data.standardisation.std),
        ]
        source = SOURCE[case.dataset](folder, train=True, transform=T.Compose(steps))
        torch.manual_seed(seed)
        self._loader = DataLoader(
            Subset(source, range(len(data))),
            RECIPE.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=0 if device.type == "cpu" else LOADERS,
            persistent_workers=device.type == "cuda",
            pin_memory=device.type == "cuda",
        )
        self._schedule = Schedule.of_length(RECIPE.epochs)
        self._epoch = 0

    def train_epoch(self) -> float:
        """One epoch; its mean loss."""
        self.network.train()
        total = 0.0
        for step, (batch, labels) in enumerate(self._loader):
            factor = self._schedule.factor(self._epoch + step / len(self._loader))
            self._optimizer.param_groups[0]["lr"] = RECIPE.learning_rate * factor
            self._optimizer.zero_grad()
            loss = F.cross_entropy(self.network(batch.to(self._device)), labels.to(self._device))
            loss.backward()
            self._optimizer.step()
            total += loss.item()
        self._epoch += 1
        return total / len(self._loader)


def epoch_images(device: torch.device, case: Case) -> int:
    """Training images in an epoch."""
    return case.cpu_images if device.type == "cpu" else CUDA_IMAGES


@cache
def images(case: Case, folder: Path, *, train: bool, count: int) -> Images:
    """The first `count` images of a split, standardised by the training images."""
    raw = load_raw(case.dataset, folder, download=False)
    pixels, labels = (raw.images, raw.labels) if train or raw.test is None else raw.test
    standardisation = Standardisation.of(raw.images)
    return Images(torch.from_numpy(pixels[:count]), torch.from_numpy(labels[:count]), standardisation)


@cache
def peak(device: torch.device) -> float:
    """Multiply-adds a second of one large bf16 product."""
    left, right = (
        torch.randn(PEAK_SIDE[device.type], PEAK_SIDE[device.type], device=device, dtype=torch.bfloat16)
        for _ in range(2)
    )
    left @ right
    return float(len(left)) ** 3 / min(wall_seconds(device, torch.matmul, left, right) for _ in range(5))


if __name__ == "__main__":
    main()
