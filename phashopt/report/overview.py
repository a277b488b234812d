"""The network as a whole, drawn: its widths before and after, and the way back to the pixels (the paper's Fig. 1)."""

from __future__ import annotations

from collections.abc import Sequence

from phashopt.figures.labels import TIMES
from phashopt.figures.network import drawn_network
from phashopt.figures.reverse import reverse_diagram
from phashopt.inspection.probes import Probes
from phashopt.report.anatomy import map_sizes, pooling_window, steps
from phashopt.report.exhibit import Exhibit
from phashopt.report.gallery import Gallery, Picture
from phashopt.service.summary import StudySummary, widths_by_role


def drawn(gallery: Gallery, summary: StudySummary, exhibits: Sequence[Exhibit]) -> Picture | None:
    """Kernels of every layer before and after; None when neither baseline nor best has widths."""
    names = summary.width_names
    widths = widths_by_role(summary)
    if not widths:
        return None
    plan = next((exhibit.blueprint for exhibit in exhibits if exhibit.blueprint), None)
    sizes = map_sizes(plan) if plan else {}
    image = summary.attrs.get("image")
    ends = (
        f"image\n{TIMES.join(map(str, image))}" if image else "image",
        f"{len(summary.attrs['classes'])}\nclasses" if "classes" in summary.attrs else "classes",
    )
    figure = drawn_network(
        [f"Layer {index + 1}" for index in range(len(names))], widths, [sizes.get(name, "") for name in names], ends
    )
    words = "; ".join(f"{role} {'-'.join(map(str, kernels))}" for role, kernels in widths.items())
    return gallery.keep(figure, "widths", f"Kernels per layer: {words}")


def reversed_network(
    gallery: Gallery, summary: StudySummary, exhibits: Sequence[Exhibit], probes: Probes | None
) -> Picture | None:
    """The best network, or else the baseline, and its reverse, with a pooling window of the first image."""
    exhibit = next((exhibit for exhibit in reversed(exhibits) if exhibit.blueprint), None)
    if exhibit is None or exhibit.blueprint is None:
        return None
    image = TIMES.join(map(str, summary.attrs["image"]))
    window = pooling_window(exhibit.subject.network, probes) if exhibit.subject and probes else None
    figure = reverse_diagram(image, steps(exhibit.blueprint), window)
    words = f"The {exhibit.role} network from image to classes, and its reverse from a layer's maps to the pixels"
    return gallery.keep(figure, "reverse", words + ("; four pooling windows and how they are undone" * bool(window)))
