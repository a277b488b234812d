"""A study as files for elsewhere: JSON, CSV, and the best trial's network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from phashopt.errors import UserError
from phashopt.service.storage import open_storage, trial_folder
from phashopt.service.study import open_plain, read_artifact_root
from phashopt.service.summary import summarize
from phashopt.training.files import save_bytes
from phashopt.training.weights import NETWORK, WEIGHTS


def export_study(url: str, name: str, out: Path) -> Iterator[Path]:
    """Write `out/study.json`, `out/trials.csv` and the best trial's weights; yields each file written.

    Raises `UserError` for an unknown study or a folder that cannot be written.
    """
    study = open_plain(open_storage(url), name)
    summary = summarize(study)
    try:
        yield _write(out / "study.json", json.dumps(summary.to_json(), indent=2))
        yield _write(out / "trials.csv", summary.table().to_csv(index=False))
        if summary.best is not None:
            folder = trial_folder(read_artifact_root(study, url), name, summary.best.number)
            for file in (WEIGHTS, NETWORK):
                if (folder / file).exists():
                    yield Path(shutil.copy2(folder / file, out / file))
    except OSError as error:
        raise UserError(f"cannot write to {out}: {error.strerror}; choose another --out") from error


def _write(path: Path, text: str) -> Path:
    save_bytes(path, text.encode())
    return path
