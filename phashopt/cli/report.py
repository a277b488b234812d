"""`report`: the figures and one HTML page."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from phashopt.cli.options import Json, Name, Storage
from phashopt.cli.output import console, plain_errors, print_json


def run(
    name: Name,
    out: Annotated[Path | None, typer.Option(help="The folder to write to.  [default: reports/NAME]")] = None,
    storage: Storage = None,
    json: Json = False,
) -> None:
    """Write DIR/index.html, one page that needs no network, with its figures and tables beside it."""
    with plain_errors():
        from phashopt.report import write_report
        from phashopt.service.storage import default_storage, open_storage, shown, trial_folder
        from phashopt.service.study import open_plain, read_artifact_root
        from phashopt.service.summary import summarize
        from phashopt.training.snapshot import Snapshot

        url = storage or default_storage()
        folder = out or Path("reports") / name
        study = open_plain(open_storage(url), name)
        summary, root = summarize(study), read_artifact_root(study, url)
        snapshots = {}
        for trial in filter(None, (summary.baseline, summary.best)):
            with suppress(FileNotFoundError):
                snapshots[trial.number] = Snapshot.load(trial_folder(root, name, trial.number))
        command = f"python -m phashopt report {name} --storage {shown(url)} --out {folder}"
        page = write_report(summary, snapshots, folder, command=command)
        if json:
            print_json({"page": str(page)})
        else:
            console.print(str(page.absolute()), soft_wrap=True, markup=False)
