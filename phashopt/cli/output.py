"""How commands speak: results on stdout, all else on stderr; one line for the user's own mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

from phashopt.errors import UserError

BAD_INPUT = 2
FAILED = 1
INTERRUPTED = 130

console = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn a `UserError` into its one line and exit status 2, Ctrl-C into 130. Optuna's own chatter is left out."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    except UserError as error:
        messages.print(f"phashopt: {' '.join(str(error).split())}", markup=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error


def print_json(document: Any) -> None:
    """One JSON document on stdout, and nothing beside it."""
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
