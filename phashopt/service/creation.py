"""A new study: checked against its data, then written whole or not at all."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import optuna
import torch
from optuna import Study

from phashopt.errors import UserError
from phashopt.service.images import load_data, probe_indices
from phashopt.service.searching import check_proposals, limits, make_pruner, make_sampler
from phashopt.service.spec import PHASH, Spec
from phashopt.service.storage import artifact_root, check_place, file_path, open_storage, study_folder
from phashopt.service.study import ARTIFACTS_KEY, CREATED_KEY, Subject
from phashopt.service.summary import BASELINE_ROLE, HASH_KEY, ROLE_KEY, SPEC_KEY
from phashopt.signal import content_hash
from phashopt.training.data import DataSet

VERSIONED = ("phashopt", "optuna", "torch", "numpy")


def create_study(url: str, spec: Spec, data_dir: Path) -> Study:
    """Check the spec against its data and write the study with its baseline as first trial.

    Raises `UserError` before anything is written: unknown or missing data, fewer images than probes, a network that
    does not fit the images, a cap below the smallest network, a setting of another sampler, a name already taken, files
    of another study of that name.
    """
    data = load_data(spec, data_dir, torch.device("cpu"))
    subject = Subject(data.shape, data.classes)
    _check_search(spec)
    _check(spec, subject)
    _check_probes(spec, len(data.train))
    check_place(url)
    name = spec.study.name
    if (database := file_path(url)) and not database.exists():
        _check_folder(url, name)
    with _artifact_root_made(url):
        storage = open_storage(url, create=True)
    if name in optuna.get_all_study_names(storage):
        raise UserError(f"there is a study {name!r} already; choose another --name, or delete it")
    _check_folder(url, name)
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    try:
        for key, value in _attributes(url, spec, data, subject).items():
            study.set_user_attr(key, value)
        study.enqueue_trial(spec.baseline, user_attrs={ROLE_KEY: BASELINE_ROLE})
    except BaseException:
        optuna.delete_study(study_name=name, storage=storage)
        raise
    return study


@contextmanager
def _artifact_root_made(url: str) -> Iterator[None]:
    """The folder is there, and goes again if what follows fails; raises `UserError` if it cannot be made."""
    root = artifact_root(url)
    new = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"the artifacts' folder {root} cannot be made ({reason}); set PHASHOPT_ARTIFACTS") from error
    try:
        yield
    except Exception:
        if new:
            root.rmdir()
        raise


def _check_folder(url: str, name: str) -> None:
    """A checkpoint of another study would be gone on with, on images that it holds out perhaps."""
    if (folder := study_folder(artifact_root(url), name)).exists():
        raise UserError(f"{folder} holds files of another study; remove it if that is gone, or choose another --name")


def _check(spec: Spec, subject: Subject) -> None:
    side, augmentation = min(subject.image[1:]), spec.training.augmentation
    for name in ("shift", "cutout"):
        if getattr(augmentation, name) >= side:
            raise UserError(f"training.augmentation.{name}: images are {side} pixels a side; write less than {side}")
    spec.blueprint(spec.network.baseline, subject.image, len(subject.classes))
    check_proposals(spec, make_sampler(spec, subject.image, len(subject.classes)))
    make_pruner(spec)
    caps = limits(spec, subject.image, len(subject.classes))
    smallest = {name: grid.decode(grid.distribution.low) for name, grid in spec.grids.items()}
    for name, (cost, cap) in caps.items():
        if cost(smallest) > cap:
            raise UserError(
                f"limits.{name}: the smallest network needs {cost(smallest):,.0f}; raise the cap {cap:,.0f}"
            )


def _check_search(spec: Spec) -> None:
    """Refuse what the user wrote and nobody would read; a stored spec holds the defaults as well."""
    search, written = spec.search, spec.search.model_fields_set
    if "strategy" in written and search.sampler != PHASH:
        raise UserError(
            f"search.strategy is that of sampler {PHASH!r}, not of {search.sampler!r}; leave one of them out"
        )
    if "inherit" in written and search.inherit and not spec.inherits:
        raise UserError(
            f"search.inherit: sampler {PHASH!r} alone breeds children, with strategy 'model' under a cap of [limits]; "
            "leave it out"
        )


def _check_probes(spec: Spec, images: int) -> None:
    if spec.signal.probes > images:
        raise UserError(f"signal.probes: there are {images:,} images to train on, not {spec.signal.probes:,}")


def _attributes(url: str, spec: Spec, data: DataSet, subject: Subject) -> dict[str, object]:
    return {
        SPEC_KEY: spec.model_dump_json(),
        HASH_KEY: spec.hash,
        "data_hash": data.hash,
        "probes_hash": content_hash(data.train.pixels[probe_indices(spec, data)]),
        "image": list(subject.image),
        "classes": list(subject.classes),
        ARTIFACTS_KEY: str(artifact_root(url)),
        CREATED_KEY: datetime.now(UTC).isoformat(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python and of what a training depends on."""
    return {"python": platform.python_version(), **{package: _version(package) for package in VERSIONED}}


def _version(package: str) -> str:
    """What is installed; a source tree on the path is no distribution."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
