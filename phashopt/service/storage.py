"""Where studies live: storage URLs opened, the lock that makes `ask` safe on SQLite, the folder of big files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from phashopt.errors import UserError

DEFAULT_STORAGE = "sqlite:///phashopt.db"
BUSY_SECONDS = 60  # how long SQLite waits for another process's write


def default_storage() -> str:
    """`PHASHOPT_STORAGE`, else a file in the current folder."""
    return os.environ.get("PHASHOPT_STORAGE") or DEFAULT_STORAGE


def open_storage(url: str, *, create: bool = False) -> BaseStorage:
    """Open a study database; a SQLite file and its tables are made only with `create`, a server's where they miss.

    Raises `UserError` if there is none, if the file is something else, or if the server cannot be reached.
    """
    path = sqlite_path(url)
    if path is not None:
        _check_sqlite(path, create=create)
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if path else {"pool_pre_ping": True}
    try:
        storage = RDBStorage(url, engine_kwargs=options)
    except ArgumentError as error:
        raise UserError(f"{url!r} is no storage URL; write one like {DEFAULT_STORAGE}") from error
    except (SQLAlchemyError, ImportError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{shown(url)} cannot be opened: {reason}") from error
    return optuna.storages.get_storage(storage)  # with Optuna's cache of finished trials


def shown(url: str) -> str:
    """The URL without its password, for messages and attributes."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "the storage"


def sqlite_path(url: str) -> Path | None:
    """The file behind a SQLite URL; None for every other storage."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)).absolute() if url.startswith(prefix) else None


@contextmanager
def ask_lock(url: str) -> Iterator[None]:
    """Serialise `ask` on one host: SQLite lets two processes pop the same waiting trial. Servers need no lock."""
    path = sqlite_path(url)
    with FileLock(f"{path}.lock") if path is not None else nullcontext():
        yield


def artifact_root(url: str) -> Path:
    """The folder that the workers share for checkpoints and figures.

    `PHASHOPT_ARTIFACTS`, else beside the SQLite file, else in the current folder.
    """
    if given := os.environ.get("PHASHOPT_ARTIFACTS"):
        return Path(given).absolute()
    path = sqlite_path(url)
    return path.with_name(f"{path.stem}-artifacts") if path is not None else Path("phashopt-artifacts").absolute()


def uploads_folder(root: Path) -> Path:
    """Optuna's own artifact store in `root`, which the dashboard serves."""
    return root / "uploads"


def trial_folder(root: Path, study: str, number: int) -> Path:
    """Checkpoint, weights and snapshot of one trial."""
    return root / study / f"trial-{number:05d}"


def _check_sqlite(path: Path, *, create: bool) -> None:
    if not path.exists():
        if not create:
            raise UserError(f"there is no study database {path.name}; create a study first, or give --storage")
        if not path.parent.is_dir():
            raise UserError(f"{path.parent} is no folder; make it, or give another --storage")
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise UserError(f"{path.name} is no SQLite database ({error}); give another --storage") from error
    if "studies" not in tables and (tables or not create):
        raise UserError(f"{path.name} is a database but holds no Optuna studies; give another --storage")
