"""`report`: the figures and one HTML page."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phashopt.cli.options import DataDir, Json, Name, Storage
from phashopt.cli.output import console, messages, plain_errors, print_json
from phashopt.errors import DataError, UserError

if TYPE_CHECKING:
    from optuna import Study

    from phashopt.figures.belief import Belief
    from phashopt.training.data import DataSet


def run(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="The folder to write to.  [default: reports/NAME]")] = None,
    classes: Annotated[
        str | None, typer.Option(help="Show images of these, as in dog,airplane,horse", show_default=False)
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Show these files instead, as in a.png,b.jpg", show_default=False)
    ] = None,
    storage: Storage = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write DIR/index.html, one page that needs no network, with its figures and tables beside it."""
    with plain_errors():
        from phashopt.report import Scene, write_report
        from phashopt.report.exhibit import gather, measured
        from phashopt.report.images import choose
        from phashopt.service.storage import default_storage, shown
        from phashopt.service.study import open_scored, read_artifact_root
        from phashopt.service.summary import summarize

        if classes and images:
            raise UserError("--classes and --images exclude each other: give one of them")
        url = storage or default_storage()
        folder = out or Path("reports") / name
        study = open_scored(url, name)
        summary = summarize(study)
        with messages.status("Looking at the networks ..."):
            data, notes = _data(study, summary.spec, data_dir)
            if classes and data is None:
                raise UserError(f"--classes: {notes[0]}")
            exhibits = gather(summary, read_artifact_root(study, url), mirrored=bool(data and data.mirrored))
            probes = choose(data, exhibits, _parts(classes), [Path(part) for part in _parts(images)])
            scene = Scene(measured(exhibits, data), probes, notes, *_belief(study))
            page = write_report(summary, scene, folder, command=_command(name, shown(url), folder, classes, images))
        if json:
            print_json({"page": str(page)})
        else:
            console.print(str(page.absolute()), soft_wrap=True, markup=False)


def _data(study: Study, document: dict[str, Any], data_dir: Path | None) -> tuple[DataSet | None, list[str]]:
    """The study's images; without them the page is made from what the trials left, and says so."""
    import torch

    from phashopt.service.images import check_data, load_data
    from phashopt.service.spec import parse_spec
    from phashopt.training.datasets import default_data_dir

    try:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        data = load_data(parse_spec(document, "the study's spec"), data_dir or default_data_dir(), device)
        check_data(study, data)
    except (DataError, UserError) as error:
        return None, [f"The study's images were not at hand ({error}), so some pictures and numbers are left out."]
    return data, []


def _belief(study: Study) -> tuple[Belief | None, str]:
    """What the study's model believes; without a model, why."""
    from phashopt.service.belief import belief_of

    try:
        return belief_of(study), ""
    except UserError as error:
        return None, str(error)


def _parts(listed: str | None) -> list[str]:
    return [part.strip() for part in (listed or "").split(",") if part.strip()]


def _command(name: str, url: str, folder: Path, classes: str | None, images: str | None) -> str:
    words = ["python", "-m", "phashopt", "report", name, "--storage", url, "--out", str(folder)]
    for option, value in (("--classes", classes), ("--images", images)):
        words += [option, value] if value else []
    return shlex.join(words)
