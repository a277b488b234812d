"""What baseline and best left in their folders, each put together so that it can be shown."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError

from phashopt.errors import UserError
from phashopt.inspection import load_subject
from phashopt.inspection.subject import Subject
from phashopt.plans import Blueprint, ImageShape
from phashopt.report.measure import Measured, epoch_seconds, latencies, step_bytes, training_accuracy
from phashopt.service.spec import Spec, parse_spec
from phashopt.service.storage import trial_folder
from phashopt.service.summary import StudySummary, TrialSummary, roles
from phashopt.signal.state import refuse_broken_weights
from phashopt.training.data import DataSet
from phashopt.training.film import Film
from phashopt.training.recipe import Recipe
from phashopt.training.snapshot import Snapshot


@dataclass(frozen=True)
class Exhibit:
    """One trial: its role in the study and whatever of its network, snapshot and film is there."""

    role: str
    trial: TrialSummary
    subject: Subject | None = None
    snapshot: Snapshot | None = None
    film: Film | None = None
    blueprint: Blueprint | None = None
    recipe: Recipe | None = None
    classes: tuple[str, ...] = ()
    measured: Measured = field(default_factory=Measured)


def gather(summary: StudySummary, root: Path, *, mirrored: bool = False) -> list[Exhibit]:
    """Baseline and best with what lies in the artifact folder `root`; what is not there is left out."""
    spec = _spec(summary)
    classes = tuple(map(str, summary.attrs.get("classes", ())))
    image = summary.attrs.get("image")
    found = []
    for role, trial in roles(summary).items():
        exhibit = replace(_left_in(trial_folder(root, summary.name, trial.number), role, trial), classes=classes)
        if spec is not None and image is not None:
            exhibit = _planned(exhibit, spec, ImageShape(*image), mirrored)
        found.append(exhibit)
    return found


def measured(exhibits: Sequence[Exhibit], data: DataSet | None) -> list[Exhibit]:
    """The same with what their networks cost on this machine, as far as networks and images are there."""
    there = [exhibit for exhibit in exhibits if exhibit.subject and exhibit.subject.image]
    shapes = [exhibit.subject.image for exhibit in there if exhibit.subject and exhibit.subject.image]
    networks = [exhibit.subject.network for exhibit in there if exhibit.subject]
    spent = latencies(networks, shapes[0]) if shapes else []
    by_role = {exhibit.role: time for exhibit, time in zip(there, spent, strict=True)}
    return [
        replace(exhibit, measured=_measured(exhibit, by_role[exhibit.role], data))
        if exhibit.role in by_role
        else exhibit
        for exhibit in exhibits
    ]


def _measured(exhibit: Exhibit, latency: float, data: DataSet | None) -> Measured:
    found = Measured(latency_ms=latency)
    subject, recipe = exhibit.subject, exhibit.recipe
    if subject is None or subject.image is None or recipe is None:
        return found
    found = replace(found, step_bytes=step_bytes(subject.network, recipe, subject.image))
    if data is None or exhibit.blueprint is None:
        return found
    return replace(
        found,
        epoch_seconds=epoch_seconds(exhibit.blueprint, recipe, data),
        training_accuracy=training_accuracy(subject.network, data),
    )


def _left_in(folder: Path, role: str, trial: TrialSummary) -> Exhibit:
    subject = snapshot = film = None
    with suppress(UserError):
        found = load_subject(str(folder))
        refuse_broken_weights(found.network)
        subject = found
    with suppress(FileNotFoundError, SafetensorError):
        snapshot = Snapshot.load(folder)
    with suppress(FileNotFoundError, SafetensorError):
        film = Film.load(folder)
    return Exhibit(role, trial, subject, snapshot, film)


def _planned(exhibit: Exhibit, spec: Spec, image: ImageShape, mirrored: bool) -> Exhibit:
    """With blueprint and recipe; without where the trial's parameters are not the spec's."""
    params = exhibit.trial.params
    try:
        widths = [params[name] for name in spec.grids]
        blueprint = spec.blueprint(widths, image, len(exhibit.classes))
        return replace(exhibit, blueprint=blueprint, recipe=spec.recipe(params, mirrored))
    except (UserError, KeyError, ValueError):
        return exhibit


def _spec(summary: StudySummary) -> Spec | None:
    """The study's spec, unless it is none of ours or was written by another version."""
    with suppress(UserError):
        return parse_spec(summary.spec, "the spec")
    return None
