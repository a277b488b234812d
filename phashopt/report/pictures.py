"""What the kernels of baseline and best see, layer by layer: the paper's Fig. 2 to 6 and 9 to 14."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from phashopt.figures import layer_label, map_sheets, mean_similarity, similarity_matrices
from phashopt.figures.channels import channel_sheet
from phashopt.figures.strip import film_strip
from phashopt.inspection.probes import Probes
from phashopt.inspection.subject import Subject
from phashopt.report.exhibit import Exhibit
from phashopt.report.gallery import Gallery, Picture
from phashopt.signal import reconstruct
from phashopt.training.snapshot import LayerSnapshot

DRAWN = 16  # layers at most: of more, the ends and the most redundant ones
CLOSE = 4  # layers at most that are also shown across images and over epochs
SEVENTH = 6  # the kernel that the paper follows across images, counted from 0
FOLLOWED = 3  # kernels followed across images and over epochs
SCENES = 3  # images whose maps of the first layer are all shown
CHUNK = 64  # kernels reconstructed at a time
SIDE = 112  # pixels of a map in a sheet, about what its cell has


@dataclass(frozen=True)
class Sheets:
    """All maps of one network's layer: those that the page shows, and the files of the others."""

    role: str
    pictures: list[Picture]

    @property
    def shown(self) -> list[Picture]:
        """Those in the page."""
        return [picture for picture in self.pictures if picture.uri]

    @property
    def elsewhere(self) -> list[Picture]:
        """Those that are files only."""
        return [picture for picture in self.pictures if not picture.uri]


@dataclass(frozen=True)
class LayerPictures:
    """One layer: its name, a sentence of numbers a network, and its pictures."""

    number: int
    label: str
    readings: list[str]
    similarity: Picture
    sheets: list[Sheets]
    scenes: list[list[Sheets]] = field(default_factory=list)  # the same of further images, for the first layer
    across: list[Picture] = field(default_factory=list)
    strips: list[Picture] = field(default_factory=list)


class Showroom:
    """Draws what `exhibits`, baseline first, see in the images of `probes`, or in the probe image they kept."""

    def __init__(self, gallery: Gallery, exhibits: Sequence[Exhibit], probes: Probes | None) -> None:
        self._gallery = gallery
        self._exhibits = [exhibit for exhibit in exhibits if exhibit.snapshot is not None]
        self._probes = probes

    def layers(self) -> Iterator[LayerPictures]:
        """The layers worth drawing, in the networks' order."""
        names = self._names()
        drawn, close = worth_drawing(names, self._exhibits, DRAWN), worth_drawing(names, self._exhibits, CLOSE)
        for number, name in enumerate(names, start=1):
            if name in drawn:
                yield self._layer(number, name, close=name in close)

    def left_out(self) -> int:
        """How many layers are too many to draw."""
        return max(0, len(self._names()) - DRAWN)

    def _names(self) -> list[str]:
        return sorted({name for exhibit in self._exhibits if exhibit.snapshot for name in exhibit.snapshot.layers})

    def _layer(self, number: int, name: str, *, close: bool) -> LayerPictures:
        label, stem = layer_label(name), f"layer-{number:02d}"
        layers = {exhibit.role: exhibit.snapshot.layers[name] for exhibit in self._exhibits
                  if exhibit.snapshot and name in exhibit.snapshot.layers}  # fmt: skip
        readings = [reading(role, layer) for role, layer in layers.items()]
        panels = {f"{role}, {_kernels(layer)}": layer.similarity for role, layer in layers.items()}
        similarity = self._gallery.keep(
            similarity_matrices(panels, f"{label}: similarity of the reconstructed maps"),
            f"{stem}-similarity",
            f"Similarity matrices of {label}. {' '.join(readings)}",
        )
        scenes = min(SCENES, len(self._probes)) if self._probes and number == 1 else 1
        sheets, *others = [
            self._pair(name, stem if image == 0 else f"{stem}-image-{image + 1}", image) for image in range(scenes)
        ]
        seen = [exhibit for exhibit in self._exhibits if exhibit.role in layers] if close else []
        across = [self._across(exhibit, name, stem) for exhibit in seen]
        strips = [self._strip(exhibit, name, stem) for exhibit in seen]
        return LayerPictures(
            number,
            label,
            readings,
            similarity,
            sheets,
            others,
            [picture for picture in across if picture is not None],
            [picture for picture in strips if picture is not None],
        )

    def _pair(self, name: str, stem: str, image: int) -> list[Sheets]:
        found = [self._sheets(exhibit, name, stem, image) for exhibit in self._exhibits]
        return [sheets for sheets in found if sheets is not None]

    def _sheets(self, exhibit: Exhibit, name: str, stem: str, image: int) -> Sheets | None:
        assert exhibit.snapshot is not None
        layer = exhibit.snapshot.layers.get(name)
        if layer is None:
            return None
        subject, module = exhibit.subject, module_of(exhibit, name)
        maps: NDArray[np.floating] = layer.maps
        pixels, words = exhibit.snapshot.image, "probe image"
        if subject is not None and module is not None and self._probes is not None:
            maps, pixels = maps_of(subject, module, self._probes, image), self._probes.pixels[image]
            words = f"image: {self._probes.labels[image]}"
        title = f"{layer_label(name)}, {exhibit.role}, {words}"
        figures = map_sheets(maps, layer.groups, title, pixels)
        return Sheets(
            exhibit.role,
            [
                self._gallery.keep(
                    figure,
                    f"{stem}-maps-{exhibit.role}-{page}",
                    f"Reconstructed maps of {title}, sheet {page}.",
                    extra=page > 1,
                )
                for page, figure in enumerate(figures, start=1)
            ],
        )

    def _across(self, exhibit: Exhibit, name: str, stem: str) -> Picture | None:
        subject, module = exhibit.subject, module_of(exhibit, name)
        if subject is None or module is None or self._probes is None or exhibit.snapshot is None:
            return None
        kernels = followed(exhibit.snapshot.layers[name].groups)
        if not kernels or len(self._probes) < 2:
            return None
        whole = reconstruct(subject.network, self._probes.images, module, kernels).float().cpu().numpy()
        strongest = reconstruct(subject.network, self._probes.images, module, kernels, seed="top").float().cpu().numpy()
        parts = {
            kernel: {"whole map": whole[:, place], "strongest": strongest[:, place]}
            for place, kernel in enumerate(kernels)
        }
        title = f"{layer_label(name)}, {exhibit.role}: the same kernels through many images"
        figure = channel_sheet(title, list(self._probes.pixels), parts, self._probes.labels)
        words = f"Kernels {', '.join(map(str, kernels))} of {layer_label(name)}, {exhibit.role}, across images of " + (
            ", ".join(self._probes.labels)
        )
        return self._gallery.keep(figure, f"{stem}-across-{exhibit.role}", words)

    def _strip(self, exhibit: Exhibit, name: str, stem: str) -> Picture | None:
        if exhibit.film is None or name not in exhibit.film.strips:
            return None
        film, strip = exhibit.film, exhibit.film.strips[name]
        places = np.linspace(0, len(strip.kernels), min(FOLLOWED, len(strip.kernels)), endpoint=False).astype(int)
        kernels = {int(strip.kernels[place]): place for place in places}
        weights = strip.weights
        figure = film_strip(
            f"{layer_label(name)}, {exhibit.role}: what training made of its kernels",
            film.image,
            film.epochs,
            {kernel: strip.maps[:, place] for kernel, place in kernels.items()},
            {} if weights is None else {kernel: weights[:, place] for kernel, place in kernels.items()},
        )
        words = f"{len(kernels)} kernels of {layer_label(name)}, {exhibit.role}, at epochs " + (
            ", ".join(map(str, film.epochs))
        )
        return self._gallery.keep(figure, f"{stem}-film-{exhibit.role}", words)


def module_of(exhibit: Exhibit, name: str) -> str | None:
    """The module that the width parameter `name` is read on."""
    readouts = exhibit.blueprint.readouts if exhibit.blueprint else {}
    return next((module for module, width in readouts.items() if width == name), None)


def maps_of(subject: Subject, module: str, probes: Probes, image: int) -> NDArray[np.float32]:
    """All maps (K, C, h, w) of one of the images, averaged down to what a sheet can show."""
    shown = probes.images[image : image + 1]
    height, width = (min(side, SIDE) for side in shown.shape[2:])
    kernels = subject.network.get_submodule(module)
    width_of = kernels.out_channels if isinstance(kernels, nn.Conv2d) else None
    chunks = (
        [None]
        if width_of is None
        else [range(start, min(start + CHUNK, width_of)) for start in range(0, width_of, CHUNK)]
    )
    maps = [F.interpolate(reconstruct(subject.network, shown, module, chunk)[0].float(), (height, width), mode="area")
            for chunk in chunks]  # fmt: skip
    return torch.cat(maps).cpu().numpy()


def followed(groups: NDArray[np.integer]) -> list[int]:
    """Living kernels to follow: the paper's seventh first, or the nearest, then evenly spaced ones."""
    alive = np.flatnonzero(groups >= 0)
    if not len(alive):
        return []
    first = int(alive[np.argmin(np.abs(alive - SEVENTH))])
    others = [int(alive[place]) for place in np.linspace(0, len(alive) - 1, FOLLOWED).round().astype(int)]
    return list(dict.fromkeys([first, *others]))[:FOLLOWED]


def worth_drawing(names: Sequence[str], exhibits: Sequence[Exhibit], most: int) -> set[str]:
    """The first and the last layer, and between them those with most near-copies, `most` in all."""
    if len(names) <= most:
        return set(names)
    alike = {name: max(_likeness(exhibit, name) for exhibit in exhibits) for name in names[1:-1]}
    return {names[0], names[-1], *sorted(alike, key=lambda name: -alike[name])[: most - 2]}


def reading(role: str, layer: LayerSnapshot) -> str:
    """A layer in one sentence: living kernels, distinct maps, redundancy (SIGNAL.md, section 5), mean similarity."""
    alive = int(np.sum(layer.groups >= 0))
    if not alive:
        return f"{role.capitalize()}: all {_kernels(layer)} are dead."
    distinct = len(np.unique(layer.groups[layer.groups >= 0]))
    dead = f", {len(layer.groups) - alive} dead" if alive < len(layer.groups) else ""
    mean = mean_similarity(layer.similarity)
    likeness = f", mean similarity {mean:.2f}" if np.isfinite(mean) else ""
    return (
        f"{role.capitalize()}: {_kernels(layer)}{dead}, {distinct} distinct, "
        f"redundancy {1 - distinct / alive:.2f}{likeness}."
    )


def _likeness(exhibit: Exhibit, name: str) -> float:
    layer = exhibit.snapshot.layers.get(name) if exhibit.snapshot else None
    return float(np.nan_to_num(mean_similarity(layer.similarity))) if layer is not None else 0.0


def _kernels(layer: LayerSnapshot) -> str:
    count = len(layer.groups)
    return f"{count} kernel{'s' * (count != 1)}"
