"""A study in its database, opened only if it is ours and unchanged. Nothing here needs torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
from optuna import Study
from optuna.artifacts import get_all_artifact_meta
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from phashopt.errors import UserError, meant
from phashopt.plans import ImageShape
from phashopt.service.searching import make_pruner, make_sampler
from phashopt.service.spec import Spec, parse_spec
from phashopt.service.storage import artifact_root, inside, open_storage, study_folder, uploads_folder
from phashopt.service.summary import HASH_KEY, SPEC_KEY

STOP_KEY = "stops_requested"
ARTIFACTS_KEY = "artifacts"
CREATED_KEY = "created"
RAISED_KEY = "raised"  # what the study may take where that was raised: entries of [study]


@dataclass(frozen=True)
class Subject:
    """What a study's networks look at: enough to price a network without loading an image."""

    image: ImageShape
    classes: tuple[str, ...]


def open_study(url: str, name: str, *, give_up: Callable[[], bool] = lambda: False) -> tuple[Study, Spec]:
    """The study `name` with the sampler and pruner of its spec; raises `UserError` naming the nearest study.

    A server that goes away later is waited for until `give_up()`.
    """
    study = open_plain(open_storage(url, give_up=give_up), name)
    spec = read_spec(study)
    subject = read_subject(study)
    study.sampler = make_sampler(spec, subject.image, len(subject.classes), deadline=deadline_of(study, spec))
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
    if not study.user_attrs.keys() >= {SPEC_KEY, HASH_KEY}:
        raise UserError(f"{study.study_name!r} was not made by phashopt; make one with 'study create SPEC.toml'")


def read_spec(study: Study) -> Spec:
    """The spec a study was created from, with its budget as it is now.

    Raises `UserError` if the study is none of ours or its spec was changed since.
    """
    check_ours(study)
    spec = parse_spec(json.loads(study.user_attrs[SPEC_KEY]), f"the spec of {study.study_name!r}")
    if spec.hash != study.user_attrs[HASH_KEY]:
        raise UserError(
            f"the spec of {study.study_name!r} reads differently here than where it was made; "
            "use the phashopt version it names, or create the study anew"
        )
    return spec.model_copy(update={"study": spec.study.model_copy(update=study.user_attrs.get(RAISED_KEY, {}))})


def read_subject(study: Study) -> Subject:
    """Image shape and class names of a study."""
    return Subject(ImageShape(*study.user_attrs["image"]), tuple(study.user_attrs["classes"]))


def read_artifact_root(study: Study, url: str) -> Path:
    """Where this study's big files are: where it was made, or beside its database if that was moved with them."""
    here = artifact_root(url)
    recorded = Path(study.user_attrs.get(ARTIFACTS_KEY, here))
    return recorded if recorded.is_dir() else here


def deadline_of(study: Study, spec: Spec) -> datetime | None:
    """When its hours are over, from when it was made on; None where they are not limited.

    The start of its first trial would not do: it moves when the trial is gone on with.
    """
    hours = spec.study.max_hours
    if hours is None:
        return None
    return datetime.fromisoformat(study.user_attrs[CREATED_KEY]) + timedelta(hours=hours)


def raise_budget(study: Study, spec: Spec, *, trials: int = 0, compute: float = 0.0, hours: float = 0.0) -> Spec:
    """Let a study take so many trials and MACs more, and so many hours from now; workers started from now on see it.

    Raises `UserError` where nothing is given, or what is given is not limited.
    """
    now = spec.study
    more: dict[str, float] = {"trials": now.trials + trials} if trials else {}
    for option, given, key in (("--compute", compute, "max_compute"), ("--hours", hours, "max_hours")):
        if given and getattr(now, key) is None:
            raise UserError(f"{option} {given:g}: the study has no {key} to be raised")
    if compute:
        more["max_compute"] = (now.max_compute or 0.0) + compute
    if hours:
        age = datetime.now(UTC) - datetime.fromisoformat(study.user_attrs[CREATED_KEY])
        more["max_hours"] = max(now.max_hours or 0.0, age / timedelta(hours=1) + hours)
    if not more:
        raise UserError("say by how much: --trials, --compute or --hours")
    budget = {**study.user_attrs.get(RAISED_KEY, {}), **more}
    study.set_user_attr(RAISED_KEY, budget)
    return spec.model_copy(update={"study": now.model_copy(update=budget)})


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
