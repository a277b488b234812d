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
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev

import torch
from joblib import cpu_count
from results import Row, available_devices, percent, publish, run, wall_seconds
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets
from torchvision import transforms as T

from phashopt.networks import build
from phashopt.plans import Blueprint, ImageShape, Plain, ResNet, Vgg
from phashopt.training.data import Images, Standardisation, load_raw
from phashopt.training.loop import Trainer, evaluate
from phashopt.training.recipe import Augmentation, Recipe
from phashopt.training.schedule import Schedule

SEEDS = {"cpu": 3, "cuda": 2}  # on CUDA it is one of several checks that take nine minutes
TEST_IMAGES = {"cpu": 2_000, "cuda": 10_000}
CUDA_IMAGES, A_CORE = 50_000, 3_125  # the plain loop decodes and augments on as many cores as there are
TOY_IMAGES = 256
WARM_UP_STEPS = 5
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
    Case("plain 32-64", Plain().plan((32, 64), GREY, 10), "mnist", 8_000, 0.95, 0.99),
    Case("plain 32-64", Plain().plan((32, 64), COLOUR, 10), "cifar10", 4_000, 0.50, 0.70),
    Case("vgg 32 to 128", Vgg().plan((32, 32, 64, 64, 128, 128), COLOUR, 10), "cifar10", 3_000, 0.40, 0.80),
    Case("resnet-20", ResNet().plan((16,) * 4 + (32,) * 4 + (64,) * 4, COLOUR, 10), "cifar10", 1_500, 0.28, 0.75),
)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="holds torchvision's MNIST and CIFAR-10")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="by default all that there are")
    parser.add_argument("--toy", action="store_true", help="a smoke test of a few hundred images")
    arguments = parser.parse_args()
    started = time.perf_counter()
    devices = [torch.device(arguments.device)] if arguments.device else available_devices()
    races = [race(device, case, arguments.data_dir, toy=arguments.toy) for device in devices for case in CASES]
    accuracy_title = f"Seconds of training to an accuracy on test images, seeds of {RECIPE.epochs} epochs"
    tables = {
        "Training images a second, the best of all epochs": [images_a_second(run) for run in races],
        accuracy_title: [to_accuracy(run) for run in races],
    }
    publish("TRAINING", "The speed of a training", tables, ("torch", "torchvision"), started)


Progress = list[tuple[float, float]]  # seconds of training so far, test accuracy


@dataclass(frozen=True)
class Race:
    """Every seed's course in both loops, over so many training and test images."""

    device: torch.device
    case: Case
    images: int
    tested: int
    ours: list[Progress]
    theirs: list[Progress]


def race(device: torch.device, case: Case, folder: Path, *, toy: bool) -> Race:
    """Both loops from first epoch to last, an epoch in turn, so that whatever else the machine does slows both."""
    is_cpu = device.type == "cpu"
    count = TOY_IMAGES if toy else case.cpu_images if is_cpu else min(CUDA_IMAGES, A_CORE * cpu_count())
    train = images(case, folder, train=True, count=count).to(device)
    test = images(case, folder, train=False, count=TOY_IMAGES if toy else TEST_IMAGES[device.type]).to(device)
    warm_up(device, case, folder, train)
    seeds = range(SEEDS[device.type])
    ours: list[Progress] = [[] for _ in seeds]
    theirs: list[Progress] = [[] for _ in seeds]
    for seed in seeds:
        fast, plain = our_loop(case, train, seed), PlainLoop(device, case, folder, train, seed)
        for _ in range(RECIPE.epochs):
            ours[seed].append(one_epoch(fast, test, ours[seed]))
            theirs[seed].append(one_epoch(plain, test, theirs[seed]))
    return Race(device, case, len(train), len(test), ours, theirs)


def one_epoch(loop: Trainer | PlainLoop, test: Images, before: Progress) -> tuple[float, float]:
    """The seconds of training up to its end, evaluation not counted, and the test accuracy there."""
    spent = before[-1][0] if before else 0.0
    spent += wall_seconds(test.device, loop.train_epoch)
    return spent, evaluate(loop.network, test).accuracy


def images_a_second(run: Race) -> Row:
    """The fastest epoch of each loop."""
    fast, slow = (run.images / min(seconds_of_epochs(runs)) for runs in (run.ours, run.theirs))
    achieved = 3 * run.case.blueprint.cost.macs * fast
    return {
        "device": run.device.type,
        "network": run.case.name,
        "data": run.case.dataset,
        "batch": RECIPE.batch_size,
        "plain loop": round(slow),
        "phashopt": round(fast),
        "times faster": round(fast / slow, 1),
        "GMAC/s": round(achieved / 1e9),
        "of a large bf16 product's": f"{percent(achieved / peak(run.device))} of {peak(run.device) / 1e9:,.0f}",
    }


def seconds_of_epochs(runs: list[Progress]) -> list[float]:
    """Of every epoch of every seed."""
    return [after - before for run in runs for before, after in pairwise([0.0, *(spent for spent, _ in run)])]


def to_accuracy(run: Race) -> Row:
    """Until the target is first reached at an epoch's end, and where both loops end."""
    target = run.case.cpu_target if run.device.type == "cpu" else run.case.cuda_target
    return {
        "device": run.device.type,
        "network": run.case.name,
        "seeds": len(run.ours),
        "data": f"{run.case.dataset}, {run.images:,} images, {run.tested:,} to test",
        "target": f"{target:.0%}",
        "plain loop": until(target, run.theirs),
        "phashopt": until(target, run.ours),
        "plain loop ends at": ends(run.theirs),
        "phashopt ends at": ends(run.ours),
    }


def until(target: float, runs: list[Progress]) -> str:
    """Mean seconds of the runs that got there."""
    reached = [next((spent for spent, accuracy in run if accuracy >= target), None) for run in runs]
    times = [spent for spent in reached if spent is not None]
    return f"{mean(times):.1f} s ({len(times)} of {len(runs)})" if times else "not reached"


def ends(runs: list[Progress]) -> str:
    """Mean and standard deviation of the last accuracies."""
    last = [run[-1][1] for run in runs]
    return f"{mean(last):.2%} +- {stdev(last):.2%}"


def warm_up(device: torch.device, case: Case, folder: Path, train: Images) -> None:
    """A few steps of both before the clock runs, for the kernels to be chosen."""
    count = WARM_UP_STEPS * RECIPE.batch_size
    first = Images(train.pixels[:count], train.labels[:count], train.standardisation)
    our_loop(case, first, seed=0).train_epoch()
    PlainLoop(device, case, folder, first, seed=0).train_epoch()


def our_loop(case: Case, train: Images, seed: int) -> Trainer:
    """As a trial trains."""
    return Trainer(build(case.blueprint, seed), RECIPE, train, seed)


class PlainLoop:
    """The same network, schedule, optimizer and augmentation in the loop of a tutorial."""

    def __init__(self, device: torch.device, case: Case, folder: Path, train: Images, seed: int) -> None:
        self._device = device
        self.network = build(case.blueprint, seed).to(device)
        self._optimizer = torch.optim.SGD(
            self.network.parameters(),
            RECIPE.learning_rate,
            momentum=RECIPE.momentum,
            nesterov=True,
            weight_decay=RECIPE.weight_decay,
        )
        steps = [
            T.RandomCrop(train.pixels.shape[-1], padding=SHIFT, padding_mode="reflect"),
            T.RandomHorizontalFlip(),
            T.ToTensor(),
            T.Normalize(train.standardisation.mean, train.standardisation.std),
        ]
        source = SOURCE[case.dataset](folder, train=True, transform=T.Compose(steps))
        torch.manual_seed(seed)
        self._loader = DataLoader(
            Subset(source, range(len(train))),
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
    run("bench_training", main)
