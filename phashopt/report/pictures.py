"""What the kernels of baseline and best see: matplotlib pictures as files, and as parts of the page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phashopt.figures import (
    layer_label,
    map_sheets,
    mean_similarity,
    png_bytes,
    similarity_matrices,
    svg_bytes,
    webp_bytes,
    widths_bars,
)
from phashopt.service.summary import StudySummary
from phashopt.training.snapshot import LayerSnapshot, Snapshot

EMBEDDED_SHEETS = 2  # sheets of 64 kernels that the page itself carries per network and layer


@dataclass(frozen=True)
class Picture:
    """A figure as the page embeds it: a data URI, its size in CSS pixels, and its content in words."""

    uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True)
class LayerPictures:
    """One layer: its name, one sentence of numbers a network, its pictures, and the sheets that are files only."""

    label: str
    readings: list[str]
    similarity: Picture
    sheets: list[Picture]
    elsewhere: list[str]


class Gallery:
    """Draws each figure once into `folder` as PNG and SVG, and hands it back for the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def widths(self, summary: StudySummary) -> Picture | None:
        """Bars of the kernels per layer; None when neither baseline nor best has widths."""
        names = summary.width_names
        trials = {"baseline": summary.baseline, "best": summary.best}
        widths = {
            role: [int(trial.params[name]) for name in names]
            for role, trial in trials.items()
            if trial is not None and names and trial.params.keys() >= set(names)
        }
        if not widths:
            return None
        words = "; ".join(f"{role} {'-'.join(map(str, kernels))}" for role, kernels in widths.items())
        figure = widths_bars([layer_label(name) for name in names], widths)
        return self._keep(figure, "widths", f"Kernels per layer: {words}")

    def layers(self, snapshots: Mapping[str, Snapshot]) -> Iterator[LayerPictures]:
        """Every layer that a snapshot holds; `snapshots` are by role, baseline first."""
        names = sorted({name for snapshot in snapshots.values() for name in snapshot.layers})
        for index, name in enumerate(names):
            seen = {role: snapshot for role, snapshot in snapshots.items() if name in snapshot.layers}
            yield self._layer(f"layer-{index + 1:02d}", name, seen)

    def _layer(self, stem: str, name: str, snapshots: Mapping[str, Snapshot]) -> LayerPictures:
        label = layer_label(name)
        layers = {role: snapshot.layers[name] for role, snapshot in snapshots.items()}
        matrices = {f"{role}, {_kernels(layer)}": layer.similarity for role, layer in layers.items()}
        readings = [reading(role, layer) for role, layer in layers.items()]
        similarity = self._keep(
            similarity_matrices(matrices, f"{label}: similarity of the reconstructed maps"),
            f"{stem}-similarity",
            f"Similarity matrices of {label}. {' '.join(readings)}",
        )
        sheets, elsewhere = [], []
        for role, layer in layers.items():
            figures = map_sheets(layer.maps, layer.groups, f"{label}, {role}", snapshots[role].image)
            for page, figure in enumerate(figures):
                file = f"{stem}-maps-{role}-{page + 1}"
                sheet = self._keep(figure, file, f"Reconstructed maps of {label}, {role}, sheet {page + 1}.")
                if page < EMBEDDED_SHEETS:
                    sheets.append(sheet)
                else:
                    elsewhere.append(f"{file}.png")
        return LayerPictures(label, readings, similarity, sheets, elsewhere)

    def _keep(self, figure: Figure, name: str, alt: str) -> Picture:
        png = png_bytes(figure)
        (self._folder / f"{name}.png").write_bytes(png)
        (self._folder / f"{name}.svg").write_bytes(svg_bytes(figure))
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        return Picture(f"data:image/webp;base64,{base64.b64encode(webp_bytes(png)).decode()}", width, height, alt)


def reading(role: str, layer: LayerSnapshot) -> str:
    """A layer in one sentence: living kernels, distinct maps, redundancy (SIGNAL.md, section 5), mean similarity."""
    alive = int(np.sum(layer.groups >= 0))
    if not alive:
        return f"{role.capitalize()}: all {_kernels(layer)} are dead."
    distinct = len(np.unique(layer.groups[layer.groups >= 0]))
    dead = f", {_dead(layer.groups)} dead" if alive < len(layer.groups) else ""
    mean = mean_similarity(layer.similarity)
    likeness = f", mean similarity {mean:.2f}" if np.isfinite(mean) else ""
    return (
        f"{role.capitalize()}: {_kernels(layer)}{dead}, {distinct} distinct, "
        f"redundancy {1 - distinct / alive:.2f}{likeness}."
    )


def _dead(groups: NDArray[np.integer]) -> int:
    return int(np.sum(groups < 0))


def _kernels(layer: LayerSnapshot) -> str:
    count = len(layer.groups)
    return f"{count} kernel{'s' * (count != 1)}"
