"""How fast a reading is: beside its cost model, beside captum looped over channels, and beside training.

`python scripts/bench_signal.py` prints the tables and writes studies/results/SIGNAL.md and SIGNAL.json: on one CPU core
and, where there is a device, on CUDA. CPU seconds are the process's own, so that a busy machine inflates them little.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from captum.attr import NeuronDeconvolution
from results import Row, available_devices, now, percent, publish, seconds
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from phashopt.networks import build
from phashopt.plans import Blueprint, ImageShape, Plain, Vgg
from phashopt.signal import Probe, measure
from phashopt.signal.deconvnet import CPU_BUDGET, GPU_BUDGET, Deconvnet
from phashopt.signal.fingerprint import fingerprint
from phashopt.signal.redundancy import LayerReport
from phashopt.training.data import Images, Standardisation
from phashopt.training.loop import Trainer
from phashopt.training.recipe import Recipe

VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
EPOCH = 50_000
MIB = 1 << 20


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], help="by default all that there are")
    parser.add_argument("--toy", action="store_true", help="a smoke test: the smallest networks only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    warnings.filterwarnings("ignore", module="captum")
    start = time.perf_counter()
    devices = [torch.device(arguments.device)] if arguments.device else available_devices()
    beside = [("an eighth", 8, 32)] if arguments.toy else [("quarter width", 4, 1), ("full width", 1, 32)]
    widths = [("quarter", 4)] if arguments.toy else [("quarter", 4), ("half", 2), ("full", 1)]
    tables = {
        "A reading beside captum's NeuronDeconvolution, one channel at a time": [
            against_captum(device, *case) for device in devices for case in beside
        ],
        "ResNet-18 (torchvision) at 64x64, 8 probes, all layers and channels": [
            row for device in devices if not arguments.toy for row in stages(device)
        ],
        "Routine readings beside training, plain 32-64": [
            routine(device, *case)
            for device in devices
            for case in (("MNIST", ImageShape(1, 28, 28), 48_000), ("CIFAR-10", ImageShape(3, 32, 32), 40_000))
        ],
        "Peak memory of the way back, VGG-16": [memory(device, *case) for device in devices for case in widths],
        "Where one reading spends its time, VGG-16 at quarter width": [
            row for device in devices for row in operators(device)
        ],
    }
    tables = {heading: rows for heading, rows in tables.items() if rows}
    publish("SIGNAL", "The signal's speed", tables, ("torch", "torchvision", "captum", "numpy", "scipy"), start)


def against_captum(device: torch.device, name: str, divisor: int, stride: int) -> Row:
    """VGG-16 at 32x32 with 4 probes; captum on every `stride`-th channel, counted as often."""
    blueprint, network = vgg(divisor, device)
    images = torch.randn(4, 3, 32, 32, device=device)
    macs = blueprint.reading_macs(len(images))
    measure(network, images, max_channels=1)
    theirs = seconds(device, loop_captum, network, images, stride) * stride
    ours = min(seconds(device, measure, network, images) for _ in range(divisor))
    return {
        "device": device.type,
        "VGG-16": name,
        "channels": sum(VGG16) // divisor,
        "model GMAC": round(macs / 1e9, 1),
        "share of an epoch (model)": percent(macs / (3 * blueprint.cost.macs * EPOCH)),
        "seconds": round(ours, 2),
        "GMAC/s": round(macs / ours / 1e9, 1),
        "captum seconds": round(theirs, 1),
        "captum's channels run": "all" if stride == 1 else f"1 in {stride}, extrapolated",
        "times faster": round(theirs / ours, 1),
    }


def loop_captum(network: nn.Module, images: Tensor, stride: int) -> None:
    """Every `stride`-th channel of every layer, one at a time."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.ReLU):
            oracle = NeuronDeconvolution(network, layer)
            width = len(network.get_parameter(name.replace("relu", "conv.weight")))
            for channel in range(0, width, stride):
                oracle.attribute(images.clone(), lambda out, k=channel: 0.5 * (out[:, k] ** 2).sum((1, 2)))


def stages(device: torch.device) -> list[Row]:
    """The parts of a full reading, intervals included, one after another."""
    torch.manual_seed(0)
    network = resnet18().to(device).eval()
    images = nn.functional.interpolate(torch.randn(8, 3, 16, 16), 64, mode="bicubic").to(device)
    measure(network, images, max_channels=1)
    clock = Clock(device)
    deconvnet = clock.time("forward pass", Deconvnet, network, images)
    macs = 0
    for layer in deconvnet.layers:
        width = deconvnet.width(layer)
        macs += counted_macs(deconvnet, layer) * width
        chunks = clock.time("way back", list, deconvnet.reconstruct(layer, range(width)))
        prints = clock.time("hashes", fingerprint, chunks, None, "mean", False)
        report = LayerReport(width, np.arange(width), prints)
        for stage, field in (
            ("Hamming", "similarity"),
            ("groups", "groups"),
            ("copies", "duplicate_rate"),
            ("intervals", "interval"),
        ):
            clock.time(stage, getattr, report, field)
    spent = clock.spent | {"all": sum(clock.spent.values())}
    cost = {"way back": f"{macs / 1e9:.0f} GMAC counted, {macs / spent['way back'] / 1e9:.1f} GMAC/s"}
    return [
        {
            "device": device.type,
            "stage": stage,
            "seconds": round(of_stage, 3),
            "share": percent(of_stage / spent["all"]),
            "cost": cost.get(stage, ""),
        }
        for stage, of_stage in spent.items()
    ]


def routine(device: torch.device, name: str, shape: ImageShape, count: int) -> Row:
    """A part of an epoch scaled to the whole, and readings with at most 8 probes and 128 channels."""
    blueprint = Plain().plan((32, 64), shape, 10)
    part = 3200 if device.type == "cpu" else count
    pixels = torch.randint(256, (part, shape.channels, shape.height, shape.width), dtype=torch.uint8)
    standardisation = Standardisation((0.5,) * shape.channels, (0.29,) * shape.channels)
    images = Images(pixels, torch.randint(10, (part,)), standardisation).to(device)
    trainer = Trainer(build(blueprint, 0), Recipe(epochs=4, learning_rate=0.01), images, 0)
    epoch = min(seconds(device, trainer.train_epoch) for _ in range(3)) * count / part
    standard = images.standardise(images.pixels[:1024])
    probe = Probe(standard[:16], widths=blueprint.readouts, calibration=standard)
    reading = min(seconds(device, take_reading, probe, trainer.network) for _ in range(5))
    return {
        "device": device.type,
        "data": name,
        "epoch seconds": round(epoch, 1),
        "reading seconds": round(reading, 3),
        "share (model)": percent(blueprint.reading_macs(8, 128) / (3 * blueprint.cost.macs * count)),
        "share, every epoch": percent(reading / epoch),
        "share, every fifth": percent(reading / epoch / 5),
    }


def take_reading(probe: Probe, network: nn.Module) -> None:
    """As between two epochs."""
    probe.measure(network, full=False).readings()


def memory(device: torch.device, name: str, divisor: int) -> Row:
    """In a fresh process, whose allocator holds nothing yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        peak = pool.apply(peak_bytes, (divisor, device.type))
    return {
        "device": device.type,
        "width": name,
        "budget MiB": (CPU_BUDGET if device.type == "cpu" else GPU_BUDGET) // MIB,
        "peak over the forward pass, MiB": round(peak / MIB, 1),
    }


def peak_bytes(divisor: int, kind: str) -> int:
    """What reconstructing 128 channels of the last layer, one chunk after another, adds to the forward pass."""
    torch.set_num_threads(1)
    _, network = vgg(divisor, torch.device(kind))
    deconvnet = Deconvnet(network, torch.randn(4, 3, 32, 32, device=kind))
    is_cuda = kind == "cuda"
    before = torch.cuda.memory_allocated() if is_cuda else resident("VmRSS")
    if not is_cuda:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    for _ in deconvnet.reconstruct(deconvnet.layers[-1], range(128)):
        pass
    return (torch.cuda.max_memory_allocated() if is_cuda else resident("VmHWM")) - before


def resident(field: str) -> int:
    """Bytes of this process in memory: `VmRSS` now, `VmHWM` at most so far."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in status if line.startswith(field))


def operators(device: torch.device) -> list[Row]:
    """The eight costliest kernels of one reading."""
    _, network = vgg(4, device)
    images = torch.randn(4, 3, 32, 32, device=device)
    measure(network, images)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities, acc_events=True) as profiler:
        measure(network, images)
    key = "self_cpu_time_total" if device.type == "cpu" else "self_device_time_total"
    events = sorted(profiler.key_averages(), key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in events)
    return [
        {
            "device": device.type,
            "operator": event.key[:60],
            "calls": event.count,
            "ms": round(getattr(event, key) / 1e3, 1),
            "share": percent(getattr(event, key) / total),
        }
        for event in events[:8]
    ]


def vgg(divisor: int, device: torch.device) -> tuple[Blueprint, nn.Module]:
    """VGG-16's convolutions for 32x32 images, at a share of their widths."""
    widths = [width // divisor for width in VGG16]
    blueprint = Vgg(stages=(2, 2, 3, 3, 3)).plan(widths, ImageShape(3, 32, 32), 10)
    return blueprint, build(blueprint, 0).to(device).eval()


def counted_macs(deconvnet: Deconvnet, layer: str) -> int:
    """The multiply-adds of one channel's way back."""
    with FlopCounterMode(display=False) as counter:
        list(deconvnet.reconstruct(layer, [0]))
    return int(counter.get_total_flops()) // 2


class Clock:
    """Adds up the seconds of stages."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.spent: dict[str, float] = {}

    def time(self, stage: str, run: Callable[..., Any], *args: Any) -> Any:
        """What `run(*args)` returns."""
        start = now(self._device)
        result = run(*args)
        self.spent[stage] = self.spent.get(stage, 0.0) + now(self._device) - start
        return result


if __name__ == "__main__":
    main()
