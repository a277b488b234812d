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
LEAST_WIDTH = 12  # of the column that says what a row is of, however narrow the terminal

console = Console(highlight=False, emoji=False)  # :x: is a part of a path
messages = Console(stderr=True, highlight=False, emoji=False)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn a `UserError` into its one line and exit status 2, Ctrl-C into 130. Optuna's own chatter is left out.

    A file or a database that cannot be read or written is the user's to mend as well, and so is memory that does not
    suffice for all processes; a reader who has gone away is nobody's mistake.
    """
    from concurrent.futures.process import BrokenProcessPool

    import optuna
    from optuna.exceptions import StorageInternalError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    except UserError as error:
        say_wrong(str(error))
        raise typer.Exit(BAD_INPUT) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        say_wrong(f"{error.filename or 'the output'}: {error.strerror or error}; look at its folder, owner and disk")
        raise typer.Exit(BAD_INPUT) from error
    except StorageInternalError as error:
        cause = getattr(error.__cause__, "orig", None) or error
        say_wrong(f"the study database takes nothing ({cause}); look at its folder, owner and disk")
        raise typer.Exit(BAD_INPUT) from error
    except BrokenProcessPool as error:
        say_wrong("a process was killed, for want of memory perhaps: take fewer --processes; what is over is kept")
        raise typer.Exit(BAD_INPUT) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error


def confirmed(question: str) -> None:
    """Go on if it is answered with yes; raises `typer.Exit` if with no, and `UserError` where nobody is there."""
    try:
        yes = typer.confirm(question, err=True)
    except typer.Abort as error:
        raise UserError("nobody has answered: give --yes where nobody can") from error
    if not yes:
        raise typer.Exit(FAILED)


def say_wrong(message: str) -> None:
    """In one line on stderr."""
    messages.print(f"phashopt: {' '.join(message.split())}", markup=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout, and nothing beside it: all of it or none."""
    sys.stdout.write(json.dumps(document, indent=2, allow_nan=False) + "\n")
