"""What optuna-dashboard shows of a study: pictures and a table on each trial, plots on the study."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from optuna import Study, Trial
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage

from phashopt.figures import dashboard_plots, layer_label, map_sheets, png_bytes, similarity_matrices
from phashopt.service.storage import inside, uploads_folder
from phashopt.service.summary import summarize
from phashopt.training.run import Outcome
from phashopt.training.snapshot import Snapshot

DRAWN_KEY = "phashopt:drawn"  # how many finished trials the plots show


@dataclass(frozen=True)
class Trained:
    """What came of a trial, and the pictures it leaves."""

    outcome: Outcome
    snapshot: Snapshot
    readouts: dict[str, str]  # module name -> width parameter


def artifact_store(root: Path) -> FileSystemArtifactStore:
    """Optuna's store for the files that the dashboard serves."""
    folder = uploads_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return FileSystemArtifactStore(str(folder))


def upload_pictures(trial: Trial, trained: Trained, root: Path) -> None:
    """Attach similarity matrices, reconstruction sheets and the per-layer table; a finished trial takes no more."""
    attach(trial.storage, trial._trial_id, _files(trial.number, trained), root)


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


def refresh_plots(study: Study, *, growth: float = 0.0) -> None:
    """Redraw the study's plots in place once its finished trials have grown by a share since anybody drew them last.

    A drawing takes longer the more trials it shows: with a share, all workers together draw ever more seldom.
    """
    from optuna_dashboard import save_plotly_graph_object

    finished = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    drawn = study._storage.get_study_system_attrs(study._study_id).get(DRAWN_KEY, 0)
    if finished - drawn <= growth * drawn:
        return
    study._storage.set_study_system_attr(study._study_id, DRAWN_KEY, finished)
    for name, figure in dashboard_plots(summarize(study).view()).items():
        save_plotly_graph_object(study, figure, graph_object_id=name)


def _files(number: int, trained: Trained) -> Iterator[tuple[str, bytes]]:
    snapshot = trained.snapshot
    title = f"Trial {number}: similarity of the kernels' reconstructions"
    panels = {layer_label(name): layer.similarity for name, layer in snapshot.layers.items()}
    yield "similarity.png", png_bytes(similarity_matrices(panels, title))
    for name, layer in snapshot.layers.items():
        sheets = map_sheets(layer.maps, layer.groups, f"Trial {number}, {layer_label(name)}", snapshot.image)
        yield f"maps.{name}.png", png_bytes(next(iter(sheets)))
    yield "layers.csv", _layer_table(trained).to_csv(index=False).encode()


def _layer_table(trained: Trained) -> pd.DataFrame:
    fields = ("channels", "alive", "dead", "distinct", "redundancy", "duplicate_rate", "mean_similarity", "vendi")
    rows = [
        {"width": name, "layer": layer, **{field: getattr(trained.outcome.report[layer], field) for field in fields}}
        for layer, name in trained.readouts.items()
    ]
    return pd.DataFrame(rows)
