"""The pictures of an inspection, as files: the paper's Fig. 2 to 14 for somebody's own network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from phashopt.errors import UserError
from phashopt.figures.channels import channel_sheet
from phashopt.figures.explanations import grad_cam_sheet, guided_sheet
from phashopt.figures.export import png_bytes
from phashopt.figures.maps import map_sheets
from phashopt.figures.similarity import similarity_matrices
from phashopt.inspection.maps import all_maps, shrunk
from phashopt.inspection.reading import Inspection, Layer
from phashopt.signal import LayerReport, reconstruct
from phashopt.training.files import save_bytes

FEW = 6  # layers, up to which all are drawn
KERNELS = 4  # in a sheet across images
LABEL = 15  # characters of a class above its image


@dataclass(frozen=True)
class Drawn:
    """A file, and what it shows."""

    path: Path
    words: str


def draw(inspection: Inspection, folder: Path, layers: Sequence[Layer]) -> Iterator[Drawn]:
    """Write the sheets of `layers` and of the explained images as PNG into `folder`, one after another.

    Raises `UserError` for a folder that cannot be written.
    """
    try:
        for name, figure, words in _figures(inspection, layers):
            path = folder / f"{name}.png"
            save_bytes(path, png_bytes(figure))
            yield Drawn(path, words)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error


def worth_drawing(layers: Sequence[Layer]) -> list[Layer]:
    """All of a few layers; of many the first, the last and the most redundant between."""
    if len(layers) <= FEW:
        return list(layers)
    between = max(layers[1:-1], key=lambda layer: np.nan_to_num(layer.report.redundancy, nan=-1))
    return [layers[0], between, layers[-1]]


def representatives(report: LayerReport, count: int) -> list[int]:
    """The strongest kernels of the layer, alive and each of another group, strongest first."""
    chosen: dict[int, int] = {}
    for kernel in np.argsort(-report.energy, kind="stable").tolist():
        if report.groups[kernel] >= 0:
            chosen.setdefault(int(report.groups[kernel]), kernel)
    return list(chosen.values())[:count]


def _figures(inspection: Inspection, layers: Sequence[Layer]) -> Iterator[tuple[str, Figure, str]]:
    name = inspection.subject.name + ("" if inspection.subject.is_trained else ", random weights")
    panels = {_called(inspection, layer): layer.report.similarity for layer in layers}
    figure = similarity_matrices(panels, f"{name}: similarity of the reconstructed maps")
    yield "similarity", figure, "similarity matrices of the layers drawn (Fig. 10, 12, 14)"
    for layer in layers:
        yield from _of_layer(inspection, layer)
    if inspection.explanation is not None:
        explained = inspection.explanation
        title = f"{name}: where the class finds support"
        figure = grad_cam_sheet(title, explained.first, explained.last, explained.images)
        yield "grad-cam", figure, f"Grad-CAM of {explained.first} and {explained.last} (Fig. 7)"
        figure = guided_sheet(f"{name}: back to the pixels", explained.images)
        yield "guided-grad-cam", figure, f"guided backpropagation and Guided Grad-CAM of {explained.last} (Fig. 8)"


def _of_layer(inspection: Inspection, layer: Layer) -> Iterator[tuple[str, Figure, str]]:
    number = inspection.layers.index(layer) + 1
    stem = f"layer-{number:02d}-{layer.name}"
    network, images = inspection.subject.network, inspection.probes.images
    maps = all_maps(network, layer.name, images[:1], layer.report.width)
    seen = inspection.probes
    title = f"{_called(inspection, layer)}, image: {_short(seen.labels[0])}"
    for page, figure in enumerate(
        map_sheets(maps, layer.report.groups, title, seen.pixels[0], layer.report.similarity)
    ):
        words = f"{layer.name}: all maps of one image, similar ones boxed, sheet {page + 1} (Fig. 2 to 5b, 9, 11, 13)"
        yield f"{stem}-maps-{page + 1}", figure, words
    kernels = representatives(layer.report, KERNELS)
    if kernels:
        figure = channel_sheet(
            f"{_called(inspection, layer)}: the same kernels through many images",
            list(seen.pixels[inspection.shown]),
            _across_images(inspection, layer, kernels),
            [_short(seen.labels[number]) for number in inspection.shown],
        )
        yield f"{stem}-across-images", figure, f"{layer.name}: its strongest kernels across images (Fig. 5a, 6)"


def _across_images(
    inspection: Inspection, layer: Layer, kernels: list[int]
) -> dict[int, dict[str, NDArray[np.float32]]]:
    """For each kernel its whole maps and its strongest positions, each (N, C, h, w)."""
    network, images = inspection.subject.network, inspection.probes.images[inspection.shown]
    whole = reconstruct(network, images, layer.name, kernels)
    strongest = reconstruct(network, images, layer.name, kernels, seed="top")
    return {
        kernel: {
            "whole map": shrunk(whole[:, place]),
            "strongest": shrunk(strongest[:, place]),
        }
        for place, kernel in enumerate(kernels)
    }


def _called(inspection: Inspection, layer: Layer) -> str:
    """`Conv2d features.0`, as a bare name may be a number."""
    return f"{type(inspection.subject.network.get_submodule(layer.name)).__name__} {layer.name}"


def _short(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"
