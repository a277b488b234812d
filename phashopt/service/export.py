"""A study as files for elsewhere: JSON, CSV, and one trial's network with a script that loads it without phashopt."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from optuna import Study

from phashopt.errors import UserError
from phashopt.networks import build
from phashopt.networks.describe import described
from phashopt.service import load_network
from phashopt.service.storage import trial_folder
from phashopt.service.study import open_scored, read_artifact_root, read_spec, read_subject
from phashopt.service.summary import StudySummary, TrialSummary, summarize
from phashopt.training.files import NETWORK, WEIGHTS, save_bytes

logger = logging.getLogger("phashopt")


def export_study(url: str, name: str, out: Path, number: int | None = None) -> Iterator[Path]:
    """Write `out/study.json`, `out/trials.csv`, and trial `number`, by default the best, as files of its own.

    Those are its weights as safetensors, `network.json`, and `load_network.py`, which needs PyTorch only. Yields each
    file written; where no worker trained the best, it has no network, and all others are. Raises `UserError` for an
    unknown study, one that maximises no accuracy, a trial `number` that has left no network, a best one whose network
    is gone, or a folder that cannot be written.
    """
    study = open_scored(url, name)
    summary = summarize(study)
    trial = summary.best if number is None else _trial(summary, number)
    folder = trial_folder(read_artifact_root(study, url), name, trial.number) if trial else None
    if trial and folder and not (folder / WEIGHTS).exists():
        why = f"trial {trial.number} has left no weights: {_why_none(trial, summary, folder)}"
        if number is not None or trial.trained_here:
            raise UserError(why)
        logger.warning("No network is written. %s.", why.capitalize())
        folder = None
    if folder is None and (out / WEIGHTS).exists():
        raise UserError(f"{out} holds a network, and study {name!r} has none; choose another --out")
    try:
        yield _write(out / "study.json", json.dumps(summary.to_json(), indent=2))
        yield _write(out / "trials.csv", summary.table().to_csv(index=False))
        if folder:
            yield Path(shutil.copy2(folder / WEIGHTS, out / WEIGHTS))
            yield _write(out / NETWORK, json.dumps(_description(study, folder), indent=2))
            yield copy_loader(out)
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def copy_loader(folder: Path) -> Path:
    """Write `load_network.py`, which loads the network beside it and needs PyTorch only; `OSError` if it cannot be."""
    return Path(shutil.copyfile(load_network.__file__, folder / Path(load_network.__file__).name))


def _why_none(trial: TrialSummary, summary: StudySummary, folder: Path) -> str:
    if trial.adopted:
        return "another study trained it"
    if trial.state != "COMPLETE":
        return f"it is {trial.state}"
    if not trial.trained_here:
        return "no worker of phashopt's trained it"
    if trial is summary.best:
        return f"it is the best, but {folder / WEIGHTS} is gone; take another with --trial N"
    return "`study gc` keeps those of the best only"


def _trial(summary: StudySummary, number: int) -> TrialSummary:
    trial = next((trial for trial in summary.trials if trial.number == number), None)
    if trial is None:
        raise UserError(f"study {summary.name!r} has no trial {number}; its last is {len(summary.trials) - 1}")
    return trial


def _description(study: Study, folder: Path) -> dict[str, object]:
    """What the trial has left, and every module by its PyTorch name."""
    left = json.loads((folder / NETWORK).read_text())
    subject = read_subject(study)
    blueprint = read_spec(study).blueprint(left["widths"], subject.image, len(subject.classes))
    return {**left, "modules": described(build(blueprint, seed=0))}


def _write(path: Path, text: str) -> Path:
    save_bytes(path, text.encode())
    return path
