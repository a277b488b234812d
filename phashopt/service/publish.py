"""What optuna-dashboard shows of a study: pictures and a table on each trial, plots on the study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from optuna import Study, Trial

from phashopt.figures.export import png_bytes
from phashopt.figures.labels import layer_label
from phashopt.figures.maps import map_sheets
from phashopt.figures.similarity import similarity_matrices
from phashopt.figures.study import dashboard_plots
from phashopt.service.summary import summarize, told_spec
from phashopt.service.uploads import attach
from phashopt.training.run import Outcome
from phashopt.training.snapshot import Snapshot

DRAWN_KEY = "phashopt:drawn"  # how many finished trials the plots show
NOTE = """\
# {name}

How many kernels does each layer of a **{family}** network need on **{dataset}**, how long should it train, and why?
Trial 0 is the baseline ({baseline} kernels); the network chosen may have {caps}. The sampler is `{sampler}`.

| column | meaning |
|---|---|
| `value` | accuracy on validation images, in [0, 1]; the test images stay closed |
| `width_00`, `width_01`, ... | kernels of each layer, first layer first |
| `feasible` | whether the network keeps within the caps; only then may it be chosen |
| `redundancy.*` | share of living kernels that repeat another one (similarity 0.90), by layer and as a mean |
| `duplicates.*` | share of living kernels with a near-copy (0.80); high early means too little training |
| `dead.*`, `distinct.*` | share of kernels that never respond; living kernels that differ |
| `macs`, `params` | multiply-accumulates of one image; trainable parameters |
| `train_macs`, `epochs_used` | what the training took, readings included |
| `images_seen` | training images that its weights have seen, in the trials that it inherits from too |
| `train_seconds`, `signal_seconds` | time of training; time of readings |
| `parent` | the trial whose kernels were inherited, or -1 |
| `worker`, `device`, `attempt` | who ran it, on what, and for the how-many-eth time |

Each trial's files: similarity matrices over the decision in words, reconstructions with boxes around look-alikes, and
the table of its layers. The table of all trials, which sorts by any of these columns, is on the page *Smart Selection*,
below the plots there. The plots of the study are redrawn while workers run. `python -m phashopt report {name}` writes
the whole story.
"""


@dataclass(frozen=True)
class Trained:
    """What came of a trial, and the pictures it leaves."""

    outcome: Outcome
    snapshot: Snapshot
    readouts: dict[str, str]  # module name -> width parameter


def upload_pictures(trial: Trial, trained: Trained, root: Path) -> None:
    """Attach similarity matrices, reconstruction sheets and the per-layer table; a finished trial takes no more."""
    decision = trial.storage.get_trial_system_attrs(trial._trial_id).get("decision", "")
    attach(trial.storage, trial._trial_id, _files(trial.number, trained, decision), root)


def refresh_plots(study: Study, *, growth: float = 0.0) -> None:
    """Redraw the study's plots in place once its finished trials have grown by a share since anybody drew them last.

    A drawing takes longer the more trials it shows: with a share, all workers together draw ever more seldom. A note
    that says what is seen is left where nobody has written one.
    """
    from optuna_dashboard import save_plotly_graph_object

    leave_note(study)
    finished = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    drawn = study._storage.get_study_system_attrs(study._study_id).get(DRAWN_KEY, 0)
    if finished - drawn <= growth * drawn:
        return
    study._storage.set_study_system_attr(study._study_id, DRAWN_KEY, finished)
    for name, figure in dashboard_plots(summarize(study).view()).items():
        save_plotly_graph_object(study, figure, graph_object_id=name)


def leave_note(study: Study) -> None:
    """Explain the study and its columns on its page, unless there is a note already."""
    from optuna_dashboard import get_note, save_note

    if not get_note(study):
        save_note(study, study_note(study))


def study_note(study: Study) -> str:
    """What the study searches and what its columns, files and plots mean, as Markdown."""
    spec = told_spec(study)
    tables = {name: spec.get(name, {}) for name in ("data", "network", "limits", "search")}
    caps = " and ".join(f"{cap:,.0f} {name}" for name, cap in tables["limits"].items() if cap) or "no cap on cost"
    baseline = "-".join(map(str, tables["network"].get("baseline", ())))
    return NOTE.format(
        name=study.study_name,
        family=tables["network"].get("family", "?"),
        dataset=tables["data"].get("dataset", "?"),
        baseline=baseline or "?",
        caps=caps,
        sampler=tables["search"].get("sampler", "?"),
    )


def _files(number: int, trained: Trained, decision: str) -> Iterator[tuple[str, bytes]]:
    snapshot = trained.snapshot
    title = f"Trial {number}: similarity of the kernels' reconstructions"
    panels = {layer_label(name): layer.similarity for name, layer in snapshot.layers.items()}
    yield "similarity.png", png_bytes(similarity_matrices(panels, title, decision))
    for name, layer in snapshot.layers.items():
        title = f"Trial {number}, {layer_label(name)}"
        sheets = map_sheets(layer.maps, layer.groups, title, snapshot.image, layer.similarity)
        yield f"maps.{name}.png", png_bytes(next(iter(sheets)))
    yield "layers.csv", _layer_table(trained).to_csv(index=False).encode()


def _layer_table(trained: Trained) -> pd.DataFrame:
    fields = ("channels", "alive", "dead", "distinct", "redundancy", "duplicate_rate", "mean_similarity", "vendi")
    rows = [
        {"width": name, "layer": layer, **{field: getattr(trained.outcome.report[layer], field) for field in fields}}
        for layer, name in trained.readouts.items()
    ]
    return pd.DataFrame(rows)
