"""Files attached to trials, in Optuna's store: what the dashboard serves."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage

from phashopt.service.storage import inside, uploads_folder


def artifact_store(root: Path) -> FileSystemArtifactStore:
    """Optuna's store for the files that the dashboard serves."""
    folder = uploads_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return FileSystemArtifactStore(str(folder))


def attach(storage: BaseStorage, trial_id: int, files: Iterable[tuple[str, bytes]], root: Path) -> None:
    """Attach named files to an unfinished trial, each once however many attempts the trial takes."""
    store = artifact_store(root)
    trial = storage.get_trial(trial_id)
    present = {
        meta.filename
        for meta in get_all_artifact_meta(trial, storage=storage)
        if inside(uploads_folder(root), meta.artifact_id).exists()
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files:
            if name not in present:
                path = Path(folder) / name
                path.write_bytes(content)
                upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=trial, storage=storage)
