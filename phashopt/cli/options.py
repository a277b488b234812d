"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Storage = Annotated[
    str | None,
    typer.Option(help="Database URL.  [default: PHASHOPT_STORAGE, else sqlite:///phashopt.db]", show_default=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data sets are.  [default: PHASHOPT_DATA, else the user's cache]", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Name = Annotated[str, typer.Argument(help="The study's name.", show_default=False)]
