"""One network's layer as figures: all its maps, the same kernels across images, and the kernels as they learnt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import nn

from phashopt.figures.channels import channel_sheet
from phashopt.figures.labels import layer_label
from phashopt.figures.maps import map_sheets
from phashopt.figures.similarity import mean_similarity
from phashopt.figures.strip import film_strip
from phashopt.inspection.maps import all_maps, shrunk
from phashopt.inspection.probes import Probes
from phashopt.report.exhibit import Exhibit
from phashopt.signal import reconstruct
from phashopt.training.snapshot import LayerSnapshot, Snapshot

SEVENTH = 6  # the kernel that the paper follows across images, counted from 0
FOLLOWED = 3  # kernels followed across images and over epochs


@dataclass(frozen=True)
class LayerView:
    """The layer of `exhibit` called `name`, which `snapshot` holds, seen through `probes` or the kept probe image."""

    name: str
    exhibit: Exhibit
    snapshot: Snapshot
    probes: Probes | None

    @property
    def role(self) -> str:
        """The network's role."""
        return self.exhibit.role

    @property
    def layer(self) -> LayerSnapshot:
        """What the trial kept of it."""
        return self.snapshot.layers[self.name]

    @property
    def title(self) -> str:
        """The layer's name and the network's role."""
        return f"{layer_label(self.name)}, {self.role}"

    @property
    def words(self) -> str:
        """Living kernels, distinct maps, redundancy (docs/signal.md, section 5) and similarities in one sentence."""
        groups, kernels = self.layer.groups, count(self.layer)
        alive = int(np.sum(groups >= 0))
        if not alive:
            return f"{self.role.capitalize()}: all {kernels} are dead."
        distinct = len(np.unique(groups[groups >= 0]))
        dead = f", {len(groups) - alive} dead" if alive < len(groups) else ""
        return (
            f"{self.role.capitalize()}: {kernels}{dead}, {distinct} distinct, "
            f"redundancy {1 - distinct / alive:.2f}{_likeness(self.layer.similarity)}."
        )

    def sheets(self, image: int = 0) -> Iterator[Figure]:
        """All maps of one image, 64 to a figure; from the weights, or else as the trial kept them of its probe."""
        looking = self._looking()
        if looking is None:
            maps: NDArray[np.floating] = self.layer.maps
            title = f"{self.title}, probe image"
            return map_sheets(maps, self.layer.groups, title, self.snapshot.image, self.layer.similarity)
        network, module, probes = looking
        maps = all_maps(network, module, probes.images[image : image + 1], len(self.layer.groups))
        title = f"{self.title}, image: {probes.labels[image]}"
        return map_sheets(maps, self.layer.groups, title, probes.pixels[image], self.layer.similarity)

    def across(self) -> Figure | None:
        """A few kernels through all images, whole and at their strongest position (Fig. 5a, 6)."""
        looking, kernels = self._looking(), followed(self.layer.groups)
        if looking is None or not kernels or len(looking[2]) < 2:
            return None
        network, module, probes = looking
        whole = reconstruct(network, probes.images, module, kernels)
        strongest = reconstruct(network, probes.images, module, kernels, seed="top")
        rows = {
            kernel: {"whole map": shrunk(whole[:, place]), "strongest": shrunk(strongest[:, place])}
            for place, kernel in enumerate(kernels)
        }
        title = f"{self.title}: the same kernels through many images"
        return channel_sheet(title, list(probes.pixels), rows, probes.labels)

    def strip(self) -> Figure | None:
        """A few kernels at the epochs that were filmed."""
        film = self.exhibit.film
        if film is None or self.name not in film.strips:
            return None
        strip = film.strips[self.name]
        filmed = len(strip.kernels)
        places = {int(strip.kernels[place]): place for place in range(0, filmed, max(1, filmed // FOLLOWED))}
        places = dict(list(places.items())[:FOLLOWED])
        weights = strip.weights
        return film_strip(
            f"{self.title}: what training made of its kernels",
            film.image,
            film.epochs,
            {kernel: strip.maps[:, place] for kernel, place in places.items()},
            {} if weights is None else {kernel: weights[:, place] for kernel, place in places.items()},
        )

    def _looking(self) -> tuple[nn.Module, str, Probes] | None:
        """Network, module and images, where all three are there."""
        readouts = self.exhibit.blueprint.readouts if self.exhibit.blueprint else {}
        module = next((module for module, width in readouts.items() if width == self.name), None)
        if self.exhibit.subject is None or self.probes is None or module is None:
            return None
        return self.exhibit.subject.network, module, self.probes


def followed(groups: NDArray[np.integer]) -> list[int]:
    """Living kernels to follow: the paper's seventh first, or the nearest, then evenly spaced ones."""
    alive = np.flatnonzero(groups >= 0)
    if not len(alive):
        return []
    first = int(alive[np.argmin(np.abs(alive - SEVENTH))])
    others = [int(alive[place]) for place in np.linspace(0, len(alive) - 1, FOLLOWED).round().astype(int)]
    return list(dict.fromkeys([first, *others]))[:FOLLOWED]


def _likeness(similarity: NDArray[np.floating]) -> str:
    """The mean over pairs of living kernels, and the pair most alike; nothing without a pair."""
    mean = mean_similarity(similarity)
    if not np.isfinite(mean):
        return ""
    pairs = np.where(np.triu(np.ones_like(similarity), k=1), np.nan_to_num(similarity), -1.0)
    one, other = np.unravel_index(pairs.argmax(), pairs.shape)
    return f", mean similarity {mean:.2f}, at most {pairs[one, other]:.2f} (kernels {one} and {other})"


def count(layer: LayerSnapshot) -> str:
    """`32 kernels`."""
    kernels = len(layer.groups)
    return f"{kernels} kernel{'s' * (kernels != 1)}"
