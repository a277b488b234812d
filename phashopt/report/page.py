"""One self-contained HTML page a study, with every figure and table beside it as files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from phashopt.errors import UserError
from phashopt.figures import study_plots
from phashopt.report.pictures import Gallery
from phashopt.report.tables import all_rows, before_after, best_rows, milestones
from phashopt.report.words import answer, caps, counts
from phashopt.service.summary import StudySummary
from phashopt.training.snapshot import Snapshot

CAPTIONS = {
    "phashopt-accuracy-against-macs": "Each point is one trial, scored on validation images. Evidence of what accuracy "
    "costs in this study; no cheaper trial is as accurate as one on the front. As the search chose among these very "
    "points, the best of them is a little too good.",
    "phashopt-widths": "What each trial gave each layer. Evidence of where the search looked and settled, not of what "
    "a layer needs.",
    "phashopt-redundancy": "Read on the probe images at the end of each trial. Duplicates without dead kernels speak "
    "of too little training or too low a rate, duplicates with dead ones of too high a rate; alone they say little "
    "about the right width.",
    "phashopt-learning-curves": "Validation accuracy after each epoch; after each that was read, the share of kernels "
    "with a near-copy. Evidence of whether training was finished when it stopped.",
}


@dataclass(frozen=True)
class Plot:
    """A plotly figure as JSON that is safe inside a script element, its heading and its caption."""

    name: str
    title: str
    caption: str
    data: Markup


def write_report(summary: StudySummary, snapshots: dict[int, Snapshot], out: Path, *, command: str) -> Path:
    """Write `out/index.html`, `out/figures/` and `out/tables/trials.csv`; returns the page's path.

    `snapshots` are by trial number; what is missing is said on the page. `command` is what rebuilds it. Raises
    `UserError` when `out` cannot be written.
    """
    try:
        return _write(summary, snapshots, out, command)
    except OSError as error:
        raise UserError(f"cannot write the report to {out}: {error.strerror}; choose another folder") from error


def _write(summary: StudySummary, snapshots: Mapping[int, Snapshot], out: Path, command: str) -> Path:
    (out / "tables").mkdir(parents=True, exist_ok=True)
    summary.table().to_csv(out / "tables" / "trials.csv", index=False)
    page = out / "index.html"
    part = out / "index.html.part"
    part.write_text(render(summary, snapshots, Gallery(out / "figures"), command), encoding="utf-8")
    os.replace(part, page)
    return page


def render(summary: StudySummary, snapshots: Mapping[int, Snapshot], gallery: Gallery, command: str) -> str:
    """The page as text."""
    networks = _networks(summary)
    seen = {role: snapshots[number] for role, number in networks.items() if number in snapshots}
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html", "j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        summary=summary,
        answer=answer(summary),
        counts=counts(summary),
        caps=caps(summary),
        changes=before_after(summary),
        bars=gallery.widths(summary),
        plots={name: _plot(name, figure) for name, figure in study_plots(summary.view()).items()},
        milestones=milestones(summary),
        rows=all_rows(summary, summary.trials),
        best=best_rows(summary),
        settings=summary.settings,
        layers=list(gallery.layers(seen)),
        unseen=[f"{role} (trial {number})" for role, number in networks.items() if number not in snapshots],
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


def _networks(summary: StudySummary) -> dict[str, int]:
    """Trial numbers of baseline and best, the baseline first; the baseline alone where it is the best."""
    roles = {"best": summary.best, "baseline": summary.baseline}
    by_number = {trial.number: role for role, trial in roles.items() if trial is not None}
    return {role: number for number, role in sorted(by_number.items(), key=lambda entry: entry[1])}


def _plot(name: str, figure: go.Figure) -> Plot:
    return Plot(name, figure.layout.title.text, CAPTIONS[name], script_safe(figure.to_json()))


def _facts(attrs: Mapping[str, Any]) -> dict[str, str]:
    versions = attrs.get("versions", {})
    hashes = {
        key.replace("_", " "): str(attrs[key]) for key in ("spec_hash", "data_hash", "probes_hash") if key in attrs
    }
    return {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded",
        **hashes,
    }
