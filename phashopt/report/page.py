"""One self-contained HTML page a study, with every figure and table beside it as files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from phashopt.errors import UserError
from phashopt.figures.belief import BELIEF, SIGNAL, Belief, belief_plots
from phashopt.figures.labels import amount, percent
from phashopt.figures.still import still
from phashopt.figures.study import study_plots
from phashopt.inspection.probes import Probes
from phashopt.report.comparison import before_after
from phashopt.report.exhibit import Exhibit
from phashopt.report.explanations import explained
from phashopt.report.files import write_tables
from phashopt.report.gallery import Gallery
from phashopt.report.measure import device_words
from phashopt.report.overview import drawn, reversed_network
from phashopt.report.pictures import Showroom
from phashopt.report.spending import spending
from phashopt.report.tables import all_rows, best_rows, front_rows, milestones, setting
from phashopt.report.words import answer, believed, caps, counts, network, sentence
from phashopt.service.summary import StudySummary

CAPTIONS = {
    "phashopt-accuracy-against-macs": "Each point is one trial, scored on validation images. Evidence of what accuracy "
    "costs in this study; no cheaper trial is as accurate as one on the front. As the search chose among these very "
    "points, the best of them is a little too good. Dotted lines lead from a parent to the trials proposed from it.",
    "phashopt-widths": "What each trial gave each layer. Evidence of where the search looked and settled, not of what "
    "a layer needs.",
    "phashopt-redundancy": "Read on the probe images at the end of each trial. Duplicates without dead kernels speak "
    "of too little training or too low a rate, duplicates with dead ones of too high a rate; alone they say little "
    "about the right width.",
    "phashopt-learning-curves": "Validation accuracy after each epoch; after each that was read, the shares of "
    "redundant, near-copied and dead kernels, dotted for the baseline. Evidence of whether training was finished when "
    "it stopped.",
    BELIEF: "Errors that the model expects when one layer alone gets another width, against the best trial's network; "
    "shaded, nine worlds in ten. A belief, from all trials together and from what is assumed before the first: where "
    "no trial has been, mostly the latter. A flat curve says that kernels there change little.",
    SIGNAL: "The probability, as each decision stated it, that redundancy says anything of what a layer's kernels are "
    "worth. It starts at one half: below, the trials spoke against the reading, above, for it.",
    "phashopt-compute": "Wall time from claim to end. All else is the sampler, the database, files, and any time a "
    "trial spent handed back in the queue.",
}


@dataclass(frozen=True)
class Scene:
    """What a report is made from, besides the study: the networks to show, the images, what its model believes.

    `notes` say why images are missing, `unbelieving` why there is no belief.
    """

    exhibits: Sequence[Exhibit] = ()
    probes: Probes | None = None
    notes: list[str] = field(default_factory=list)
    belief: Belief | None = None
    unbelieving: str = ""


@dataclass(frozen=True)
class Plot:
    """A plotly figure as JSON that is safe inside a script element, its heading and its caption."""

    name: str
    title: str
    caption: str
    height: int
    data: Markup


def write_report(summary: StudySummary, scene: Scene, out: Path, *, command: str) -> Path:
    """Write `out/index.html`, `out/figures/` and `out/tables/`; returns the page's path.

    What `scene` lacks is said on the page. `command` is what rebuilds it. Raises `UserError` when `out` cannot be
    written.
    """
    try:
        return _write(summary, scene, out, command)
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror}; choose another folder") from error


def _write(summary: StudySummary, scene: Scene, out: Path, command: str) -> Path:
    write_tables(summary, scene.exhibits, scene.belief, out / "tables")
    page = out / "index.html"
    part = out / "index.html.part"
    part.write_text(render(summary, scene, Gallery(out / "figures"), command), encoding="utf-8")
    os.replace(part, page)
    return page


def render(summary: StudySummary, scene: Scene, gallery: Gallery, command: str) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    measured = {exhibit.role: exhibit.measured for exhibit in scene.exhibits}
    front = front_rows(summary)
    view = summary.view()
    plots = study_plots(view) | belief_plots(view, scene.belief)
    for name, plot in plots.items():
        gallery.file(still(plot), name.removeprefix("phashopt-"))
    room = Showroom(gallery, scene.exhibits, scene.probes)
    return environment.get_template("page.html.j2").render(
        summary=summary,
        answer=answer(summary, {role: entry.latency_ms for role, entry in measured.items()}),
        counts=counts(summary),
        caps=caps(summary),
        changes=before_after(summary, measured),
        device=device_words(),
        drawing=drawn(gallery, summary, scene.exhibits),
        plots={name: _plot(name, figure) for name, figure in plots.items()},
        believed=believed(scene.belief) if scene.belief else sentence(scene.unbelieving),
        front=front,
        choices=script_safe(json.dumps([_choice(summary, row.number) for row in front])),
        macs_cap=summary.spec.get("limits", {}).get("macs"),
        milestones=milestones(summary),
        rows=all_rows(summary, summary.trials),
        best=best_rows(summary),
        settings=summary.settings,
        spending=spending(summary),
        anatomy=reversed_network(gallery, summary, scene.exhibits, scene.probes),
        layers=list(room.layers()),
        left_out=room.left_out(),
        explained=explained(gallery, scene.exhibits, scene.probes),
        unseen=[
            f"{exhibit.role} (trial {exhibit.trial.number})" for exhibit in scene.exhibits if exhibit.snapshot is None
        ],
        notes=scene.notes,
        facts=_facts(summary.attrs),
        spec=json.dumps(summary.spec, indent=2, ensure_ascii=False),
        command=command,
        plotly=Markup(get_plotlyjs()),
    )


def script_safe(document: str) -> Markup:
    """JSON that cannot close the script element it stands in, nor open a comment."""
    for character in "<>&":
        document = document.replace(character, f"\\u{ord(character):04x}")
    return Markup(document)


def _plot(name: str, figure: go.Figure) -> Plot:
    title, height = figure.layout.title.text, figure.layout.height
    return Plot(name, title, CAPTIONS[name], height, script_safe(figure.to_json()))


def _choice(summary: StudySummary, number: int) -> dict[str, Any]:
    """What the slider needs of a trial on the front."""
    trial = next(trial for trial in summary.trials if trial.number == number)
    settings = "".join(f", {name} {setting(trial.params[name])}" for name in summary.settings if name in trial.params)
    words = (
        f"trial {number}: {percent(trial.value)} with {amount(trial.attrs['macs'])} MACs, {network(trial)}{settings}"
    )
    if trial.epochs_used not in (0, trial.params.get("epochs")):  # cut short, or extended; 0 where nobody counted
        words += f", {trial.epochs_used} epochs in the end"
    if trial.epochs_inherited:
        words += f", with kernels that were trained for {trial.epochs_inherited} epochs before"
    return {"trial": number, "macs": trial.attrs["macs"], "accuracy": trial.value, "words": words}


def _facts(attrs: Mapping[str, Any]) -> dict[str, str]:
    versions = attrs.get("versions", {})
    hashes = {
        key.replace("_", " "): str(attrs[key]) for key in ("spec_hash", "data_hash", "probes_hash") if key in attrs
    }
    return {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded",
        **hashes,
    }
