"""Where the classes find support in the shown images, before and after: the paper's Fig. 7 and 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phashopt.errors import UserError
from phashopt.figures.explanations import grad_cam_sheet, guided_sheet
from phashopt.inspection.explain import explain
from phashopt.inspection.probes import Probes
from phashopt.report.exhibit import Exhibit
from phashopt.report.gallery import Gallery, Picture


@dataclass(frozen=True)
class ExplainedPictures:
    """One network's Grad-CAM sheet, and its sheet of guided backpropagation."""

    role: str
    cam: Picture
    guided: Picture


def explained(gallery: Gallery, exhibits: Sequence[Exhibit], probes: Probes | None) -> list[ExplainedPictures]:
    """Every exhibit whose network is there and can be explained."""
    found = [_explained(gallery, exhibit, probes) for exhibit in exhibits] if probes is not None else []
    return [pictures for pictures in found if pictures is not None]


def _explained(gallery: Gallery, exhibit: Exhibit, probes: Probes | None) -> ExplainedPictures | None:
    if exhibit.subject is None or probes is None:
        return None
    role = exhibit.role
    try:
        known = explain(exhibit.subject.network, probes, range(len(probes)), exhibit.classes)
    except UserError:
        return None
    what = f"{role}, images of {', '.join(probes.labels)}"
    return ExplainedPictures(
        role,
        gallery.keep(
            grad_cam_sheet(
                f"{role.capitalize()}: where the class finds support", known.first, known.last, known.images
            ),
            f"grad-cam-{role}",
            f"Grad-CAM of the first and the last convolution: {what}",
        ),
        gallery.keep(
            guided_sheet(f"{role.capitalize()}: back to the pixels", known.images),
            f"guided-grad-cam-{role}",
            f"Image, guided backpropagation, Grad-CAM and Guided Grad-CAM: {what}",
        ),
    )
