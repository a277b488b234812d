"""A study in its database: created whole or not at all, opened only if it is ours and unchanged."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import optuna
import torch
from optuna import Study
from optuna.artifacts import get_all_artifact_meta
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from phashopt.errors import UserError, meant
from phashopt.networks import ImageShape
from phashopt.service.searching import check_proposals, limits, make_pruner, make_sampler
from phashopt.service.spec import PHASH, Spec, parse_spec
from phashopt.service.storage import artifact_root, check_place, inside, open_storage, study_folder, uploads_folder
from phashopt.service.summary import BASELINE_ROLE, ROLE_KEY, SPEC_KEY
from phashopt.signal import content_hash
from phashopt.training.data import DataSet, choose_probes, load_raw, prepare

STOP_KEY = "stops_requested"
ARTIFACTS_KEY = "artifacts"
CREATED_KEY = "created"
VERSIONED = ("phashopt", "optuna", "torch", "numpy")


@dataclass(frozen=True)
class Subject:
    """What a study's networks look at: enough to price a network without loading an image."""

    image: ImageShape
    classes: tuple[str, ...]


def load_data(spec: Spec, data_dir: Path, device: torch.device) -> DataSet:
    """The spec's images, split and on the device; raises `DataError`."""
    table = spec.data
    raw = load_raw(table.dataset, data_dir, size=table.size)
    return prepare(
        raw,
        validation=table.validation,
        held_out=table.held_out,
        limit=table.limit,
        seed=spec.study.seed,
        device=device,
    )


def create_study(url: str, spec: Spec, data_dir: Path) -> Study:
    """Check the spec against its data and write the study with its baseline as first trial.

    Raises `UserError` before anything is written: unknown or missing data, fewer images than probes, a network that
    does not fit the images, a cap below the smallest network, a setting of another sampler, a name already taken.
    """
    data = load_data(spec, data_dir, torch.device("cpu"))
    subject = Subject(data.shape, data.classes)
    _check_search(spec)
    _check(spec, subject)
    _check_probes(spec, len(data.train))
    check_place(url)
    with _artifact_root_made(url):
        storage = open_storage(url, create=True)
    name = spec.study.name
    if name in optuna.get_all_study_names(storage):
        raise UserError(f"there is a study {name!r} already; choose another --name, or delete it")
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    try:
        for key, value in _attributes(url, spec, data, subject).items():
            study.set_user_attr(key, value)
        study.enqueue_trial(spec.baseline, user_attrs={ROLE_KEY: BASELINE_ROLE})
    except BaseException:
        optuna.delete_study(study_name=name, storage=storage)
        raise
    return study


def open_study(url: str, name: str, *, give_up: Callable[[], bool] = lambda: False) -> tuple[Study, Spec]:
    """The study `name` with the sampler and pruner of its spec; raises `UserError` naming the nearest study.

    A server that goes away later is waited for until `give_up()`.
    """
    study = open_plain(open_storage(url, give_up=give_up), name)
    spec = read_spec(study)
    subject = read_subject(study)
    study.sampler = make_sampler(spec, subject.image, len(subject.classes))
    study.pruner = make_pruner(spec)
    return study, spec


def open_plain(storage: BaseStorage, name: str) -> Study:
    """Any Optuna study by name, for reading; raises `UserError`."""
    names = optuna.get_all_study_names(storage)
    if name not in names:
        raise UserError(f"there is no study {name!r}{meant(name, names, alike=0.4)}")
    return optuna.load_study(study_name=name, storage=storage)


def open_scored(url: str, name: str) -> Study:
    """Any Optuna study that maximises an accuracy in [0, 1], for reading; raises `UserError`."""
    study = open_plain(open_storage(url), name)
    elsewhere = f"look at it with 'dashboard {name}'"
    if study.directions != [StudyDirection.MAXIMIZE]:
        raise UserError(f"{name!r} does not maximise one accuracy, as phashopt's studies do; {elsewhere}")
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if SPEC_KEY not in study.user_attrs and not all(0 <= trial.values[0] <= 1 for trial in complete):
        raise UserError(f"{name!r} has values outside 0 to 1, which are no shares of images; {elsewhere}")
    return study


def is_deleted(study: Study) -> bool:
    """Whether an opened study is no longer in its database."""
    return all(each._study_id != study._study_id for each in study._storage.get_all_studies())


def check_ours(study: Study) -> None:
    """Raise `UserError` for a study that phashopt did not make."""
    if SPEC_KEY not in study.user_attrs:
        raise UserError(f"{study.study_name!r} was not made by phashopt; make one with 'study create SPEC.toml'")


def read_spec(study: Study) -> Spec:
    """The spec a study was created from; `UserError` if it is none of ours or was changed since."""
    check_ours(study)
    spec = parse_spec(json.loads(study.user_attrs[SPEC_KEY]), f"the spec of {study.study_name!r}")
    if spec.hash != study.user_attrs["spec_hash"]:
        raise UserError(
            f"the spec of {study.study_name!r} reads differently here than where it was made; "
            "use the phashopt version it names, or create the study anew"
        )
    return spec


def read_subject(study: Study) -> Subject:
    """Image shape and class names of a study."""
    return Subject(ImageShape(*study.user_attrs["image"]), tuple(study.user_attrs["classes"]))


def read_artifact_root(study: Study, url: str) -> Path:
    """Where this study's big files are: where it was made, or beside its database if that was moved with them."""
    here = artifact_root(url)
    recorded = Path(study.user_attrs.get(ARTIFACTS_KEY, here))
    return recorded if recorded.is_dir() else here


def hours_old(study: Study) -> float:
    """Since the study was made. The start of its first trial would not do: it moves when the trial is gone on with."""
    return (datetime.now(UTC) - datetime.fromisoformat(study.user_attrs[CREATED_KEY])).total_seconds() / 3600


def check_data(study: Study, data: DataSet) -> None:
    """Refuse images that are not those the study was made with; raises `UserError`."""
    if data.hash != study.user_attrs["data_hash"]:
        raise UserError(
            f"the images here are not those of study {study.study_name!r} (hash {data.hash}, "
            f"not {study.user_attrs['data_hash']}); give the --data-dir it was made with"
        )


def probe_indices(spec: Spec, data: DataSet) -> torch.Tensor:
    """Which training images (N,) are the study's probes: class-balanced, the same for every trial."""
    return choose_probes(data.train, spec.signal.probes, spec.study.seed)


def request_stop(study: Study) -> None:
    """Ask every worker now running to hand its trial back and leave; workers started later are not concerned.

    Raises `UserError` for a study that is not ours, which has none.
    """
    check_ours(study)
    study.set_user_attr(STOP_KEY, stop_requests(study) + 1)


def stop_requests(study: Study) -> int:
    """How often the study's workers were asked to stop."""
    return int(study.user_attrs.get(STOP_KEY, 0))


def delete_study(url: str, name: str) -> None:
    """Remove a study, its checkpoints and its figures."""
    storage = open_storage(url)
    study = open_plain(storage, name)
    root = read_artifact_root(study, url)
    folder = study_folder(root, name)
    uploads = [
        inside(uploads_folder(root), meta.artifact_id)
        for trial in study.get_trials(deepcopy=False)
        for meta in get_all_artifact_meta(trial, storage=storage)
    ]
    optuna.delete_study(study_name=name, storage=storage)
    shutil.rmtree(folder, ignore_errors=True)
    for upload in uploads:
        upload.unlink(missing_ok=True)


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
        "spec_hash": spec.hash,
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
