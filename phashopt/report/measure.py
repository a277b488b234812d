"""What running a network costs on this machine: time of one image, memory of one training step, time of an epoch."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from phashopt.networks import build
from phashopt.plans import Blueprint, ImageShape
from phashopt.training.data import DataSet, Images
from phashopt.training.loop import Diverged, Trainer, evaluate
from phashopt.training.recipe import Recipe

LATENCY_SECONDS = 0.5  # spent on each network
MOST_IMAGES = 2000  # scored for the training accuracy
TIMED_STEPS = 12  # of a training, behind as many that warm up


@dataclass(frozen=True)
class Measured:
    """One trial on this machine; NaN where the network or the images are not there to measure it."""

    latency_ms: float = math.nan  # median over single images
    step_bytes: float = math.nan  # tensors alive at once in one training step, weights and images included
    epoch_seconds: float = math.nan
    training_accuracy: float = math.nan  # on up to 2,000 training images, without augmentation


def latencies(networks: Sequence[nn.Module], image: ImageShape) -> list[float]:
    """Median milliseconds that each network needs for one image, in turns, so that all meet the same disturbances."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    prepared = [network.to(device, memory_format=torch.channels_last).eval() for network in networks]  # type: ignore[call-overload]
    pixels = torch.randn((1, *image), generator=torch.Generator().manual_seed(0)).to(device)
    times: list[list[float]] = [[] for _ in networks]
    end = time.perf_counter() + LATENCY_SECONDS * len(networks)
    with torch.inference_mode():
        while time.perf_counter() < end or not times[0]:
            for network, spent in zip(prepared, times, strict=True):
                spent.append(_milliseconds(network, pixels))
    return [statistics.median(spent) for spent in times]


def step_bytes(network: nn.Module, recipe: Recipe, image: ImageShape) -> int:
    """The most bytes that tensors take at once in a forward and backward pass of one batch, in float32.

    Counts what PyTorch hands out as tensors: weights, gradients, images, maps; not a kernel's own scratch space.
    """
    device = next(network.parameters()).device
    images = torch.randn((recipe.batch_size, *image), device=device)
    labels = torch.zeros(len(images), dtype=torch.long, device=device)
    with _Living([*network.parameters(), *network.buffers(), images, labels]) as living:
        F.cross_entropy(network(images), labels).backward()
    network.zero_grad(set_to_none=True)
    peak: int = living.peak
    return peak


def epoch_seconds(blueprint: Blueprint, recipe: Recipe, data: DataSet) -> float:
    """Seconds of one training epoch as trials train here, extrapolated from a few steps; NaN where these diverge."""
    part = data.train.pixels[: TIMED_STEPS * recipe.batch_size], data.train.labels[: TIMED_STEPS * recipe.batch_size]
    trainer = Trainer(build(blueprint, seed=0), recipe, Images(*part, data.train.standardisation), seed=0)
    try:
        trainer.train_epoch()
        start = time.perf_counter()
        trainer.train_epoch()
    except Diverged:
        return math.nan
    return (time.perf_counter() - start) * len(data.train) / len(part[0])


def training_accuracy(network: nn.Module, data: DataSet) -> float:
    """Share of up to 2,000 training images, evenly spaced, that `network` classifies right, without augmentation."""
    train = data.train
    step = max(1, len(train) // MOST_IMAGES)
    return evaluate(network, Images(train.pixels[::step], train.labels[::step], train.standardisation)).accuracy


def device_words() -> str:
    """Where the times were taken."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads != 1)}"


def _milliseconds(network: nn.Module, pixels: Tensor) -> float:
    start = time.perf_counter()
    network(pixels)
    if pixels.is_cuda:
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)


class _Living(TorchDispatchMode):
    """While entered, adds up the storages that any operation gave out and nobody has let go of."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        TorchDispatchMode.__init__(self)
        self._bytes: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak: int = 0
        self._count(tensors)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._count([leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)])
        return result

    def _count(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._bytes[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self._bytes = {key: entry for key, entry in self._bytes.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._bytes.values()))
