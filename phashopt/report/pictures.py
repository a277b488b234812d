"""What the kernels of baseline and best see, layer by layer: the paper's Fig. 2 to 6 and 9 to 14."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from phashopt.figures.labels import layer_label
from phashopt.figures.similarity import mean_similarity, similarity_matrices
from phashopt.inspection.probes import Probes
from phashopt.report.exhibit import Exhibit
from phashopt.report.gallery import Gallery, Picture
from phashopt.report.views import LayerView, count

DRAWN = 16  # layers at most: of more, the ends and the ones most alike
CLOSE = 4  # layers at most that are also shown across images and over epochs
SCENES = 3  # images whose maps of the first layer are all shown


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
    """One layer: its place, its name, a sentence of numbers a network, and its pictures.

    `scenes` are the sheets of one image after the other, more than one for the first layer.
    """

    number: int
    label: str
    readings: list[str]
    similarity: Picture
    scenes: list[list[Sheets]]
    across: list[Picture]
    strips: list[Picture]


class Showroom:
    """Draws what `exhibits`, baseline first, see in the images of `probes`, or in the probe image they kept."""

    def __init__(self, gallery: Gallery, exhibits: Sequence[Exhibit], probes: Probes | None) -> None:
        self._gallery = gallery
        self._probes = probes
        views: dict[str, list[LayerView]] = {}
        for exhibit in exhibits:
            for name in exhibit.snapshot.layers if exhibit.snapshot else ():
                assert exhibit.snapshot is not None
                views.setdefault(name, []).append(LayerView(name, exhibit, exhibit.snapshot, probes))
        self._views = dict(sorted(views.items()))

    def layers(self) -> Iterator[LayerPictures]:
        """The layers worth drawing, first layer first."""
        drawn, close = worth_drawing(self._views, DRAWN), worth_drawing(self._views, CLOSE)
        for number, (name, views) in enumerate(self._views.items(), start=1):
            if name in drawn:
                yield self._layer(number, name, views, close=name in close)

    def left_out(self) -> int:
        """How many layers are too many to draw."""
        return max(0, len(self._views) - DRAWN)

    def _layer(self, number: int, name: str, views: list[LayerView], *, close: bool) -> LayerPictures:
        label, stem = layer_label(name), f"layer-{number:02d}"
        readings = [view.words for view in views]
        panels = {f"{view.role}, {count(view.layer)}": view.layer.similarity for view in views}
        similarity = self._gallery.keep(
            similarity_matrices(panels, f"{label}: similarity of the reconstructed maps"),
            f"{stem}-similarity",
            f"Similarity matrices of {label}. {' '.join(readings)}",
        )
        images = min(SCENES, len(self._probes)) if self._probes and number == 1 else 1
        near = views if close else []
        return LayerPictures(
            number,
            label,
            readings,
            similarity,
            [[self._sheets(view, stem, image) for view in views] for image in range(images)],
            self._kept(near, [view.across() for view in near], f"{stem}-across", "Some kernels through many images"),
            self._kept(near, [view.strip() for view in near], f"{stem}-film", "Some kernels epoch by epoch"),
        )

    def _sheets(self, view: LayerView, stem: str, image: int) -> Sheets:
        name = f"{stem}-maps-{view.role}" if image == 0 else f"{stem}-image-{image + 1}-maps-{view.role}"
        words = f"Reconstructed maps, {view.title}, image {image + 1}, sheet"
        pictures = [
            self._gallery.keep(figure, f"{name}-{page}", f"{words} {page}.", extra=page > 1)
            for page, figure in enumerate(view.sheets(image), start=1)
        ]
        return Sheets(view.role, pictures)

    def _kept(
        self, views: Iterable[LayerView], figures: Iterable[Figure | None], stem: str, words: str
    ) -> list[Picture]:
        return [
            self._gallery.keep(figure, f"{stem}-{view.role}", f"{words}: {view.title}.")
            for view, figure in zip(views, figures, strict=True)
            if figure is not None
        ]


def worth_drawing(views: dict[str, list[LayerView]], most: int) -> set[str]:
    """The first and the last layer, and between them those whose maps are most alike, `most` in all."""
    names = list(views)
    if len(names) <= most:
        return set(names)
    alike = {name: max(_likeness(view) for view in views[name]) for name in names[1:-1]}
    return {names[0], names[-1], *sorted(alike, key=lambda name: -alike[name])[: most - 2]}


def _likeness(view: LayerView) -> float:
    return float(np.nan_to_num(mean_similarity(view.layer.similarity)))
