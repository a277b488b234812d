"""A trained network under a tighter budget: which widths to keep, found by merging kernels, without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phashopt.errors import UserError
from phashopt.inspection.probes import labelled_images
from phashopt.inspection.subject import Subject
from phashopt.networks import Network, shrink
from phashopt.networks.describe import described
from phashopt.search.fit import fit, scatter, uniform
from phashopt.search.space import Axis, Point, Space
from phashopt.service.export import copy_loader
from phashopt.training.data import Images, RawData
from phashopt.training.loop import evaluate
from phashopt.training.weights import save_weights

REFITTED_ON = 1000  # images
JUDGED_ON = 2000
NARROWEST = 8  # a layer keeps one kernel of so many at least
EXPLORED, REFINED = 12, 8  # width tuples drawn far from uniform, then near to the best of all so far
FAR, NEAR = 0.3, 0.1  # of a width's log range


@dataclass(frozen=True)
class Child:
    """A narrower network as it was merged, and the share of images that it still gets right without training."""

    widths: tuple[int, ...]
    macs: int
    params: int
    accuracy: float
    network: Network

    def to_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"widths": list(self.widths), "macs": self.macs, "params": self.params, "accuracy": self.accuracy}


class Shrinking:
    """Children of `subject` with at most the share `cap` of its MACs, tried on training images of `raw`.

    Kernels are merged and layers refitted on one part of the images and judged on another. The network may have been
    trained on either, so accuracies rank children rather than promise anything. Raises `UserError` for a network of
    unknown make, images of other classes, and a cap that no child keeps.
    """

    def __init__(self, subject: Subject, raw: RawData, cap: float) -> None:
        network, image = subject.network, subject.image
        if not isinstance(network, Network) or image is None or subject.description is None:
            raise UserError(
                f"--cap: {subject.name} is none of phashopt's own networks (plain, vgg, resnet), and of another it is "
                "not known which layers share channels: give a trial's folder"
            )
        classes = tuple(subject.description["classes"])
        if raw.classes != classes:
            raise UserError(f"--cap: the network tells {len(classes)} classes apart, which are not those of the images")
        self._subject = subject
        self._network = network
        self._description = subject.description
        device = next(network.parameters()).device
        known = subject.standardisation
        images = labelled_images(raw, REFITTED_ON + JUDGED_ON, image.channels, (image.height, image.width), known)
        half = min(REFITTED_ON, len(images) // 2)
        self._fitted_on = images.standardise(images.pixels[:half]).to(device)
        self._judged_on = Images(
            images.pixels[half:].to(device), images.labels[half:].to(device), images.standardisation
        )
        self._space = self._narrower(cap)
        self._space.require_feasible()

    def parent(self) -> Child:
        """The network itself, judged as its children are."""
        return self._judged(self._network)

    def children(self) -> Iterator[Child]:
        """Layers alike, then each layer spared in turn, then random tuples, then some near the best."""
        rng = np.random.default_rng(0)
        alike = uniform(self._space)
        seen: dict[tuple[int, ...], float] = {}
        best = alike
        for explored in (True, False):
            for point in self._far(alike, rng) if explored else self._near(best, rng):
                key = self._space.key(point)
                if key not in seen:
                    child = self._judged(shrink(self._network, list(key), self._fitted_on))
                    seen[key] = child.accuracy
                    yield child
            leader = max(seen, key=seen.__getitem__)
            best = dict(zip(self._space.widths, leader, strict=True))

    def save(self, child: Child, folder: Path) -> None:
        """Write a child as `study export` does: safetensors, how to build and feed it, and what loads it by PyTorch."""
        told = {**self._description, "widths": list(child.widths), "modules": described(child.network)}
        save_weights(folder, child.network, told)
        copy_loader(folder)

    def _narrower(self, cap: float) -> Space:
        blueprint = self._network.blueprint
        names = list(blueprint.readouts.values())

        def cost(point: Mapping[str, int]) -> float:
            return float(blueprint.resized([point[name] for name in names]).cost.macs)

        axes = {
            name: Axis(range(max(1, width // NARROWEST), width + 1))
            for name, width in zip(names, blueprint.widths, strict=True)
        }
        return Space(axes, limits={"macs": (cost, cap * blueprint.cost.macs)})

    def _far(self, alike: Point, rng: np.random.Generator) -> Iterator[Point]:
        yield alike
        names = list(self._space.widths)
        for spared in names:
            others = [name for name in names if name != spared]
            whole = alike | {spared: self._space.widths[spared].values[-1]}
            yield fit(whole, self._space, [*others, spared], others)
        for _ in range(EXPLORED):
            yield scatter(alike, FAR, self._space, rng)

    def _near(self, best: Point, rng: np.random.Generator) -> Iterator[Point]:
        for _ in range(REFINED):
            yield scatter(best, NEAR, self._space, rng)

    def _judged(self, network: Network) -> Child:
        cost = network.blueprint.cost
        score = evaluate(network, self._judged_on)
        return Child(network.blueprint.widths, cost.macs, cost.params, score.accuracy, network)
