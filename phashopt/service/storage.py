"""Where studies live: SQLite, Optuna's journal file, PostgreSQL or a proxy before one, opened by URL."""

from __future__ import annotations

import json
import os
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import BaseStorage, GrpcStorageProxy, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from phashopt.errors import UserError
from phashopt.service.patience import Patient

DEFAULT_STORAGE = "sqlite:///phashopt.db"
KINDS = "sqlite:///FILE, journal:///FILE, postgresql://USER@HOST/DATABASE or grpc://HOST:PORT"
BUSY_SECONDS = 60  # how long SQLite waits for another process's write
UPLOADS = "uploads"
PROXY_PORT = 13000
PROXY_SECONDS = 30  # how long a proxy may take to answer for the first time


def default_storage() -> str:
    """`PHASHOPT_STORAGE`, else a file in the current folder."""
    return os.environ.get("PHASHOPT_STORAGE") or DEFAULT_STORAGE


def open_storage(url: str, *, create: bool = False, give_up: Callable[[], bool] = lambda: False) -> BaseStorage:
    """Open a study database; a file is made only with `create`, a server's tables where they miss.

    Once open, a server that goes away is waited for until `give_up()`. Raises `UserError` if there is none, if the
    file is something else, or if the server cannot be reached.
    """
    _check_form(url)
    match kind(url):
        case "sqlite":
            return _open_sqlite(url, create=create)
        case "journal":
            return _open_journal(url, create=create)
        case "postgresql":
            return _open_postgresql(url, give_up)
        case _:
            return _open_proxy(url, give_up)


def check_place(url: str) -> None:
    """Raise `UserError` for what is no URL of a database, and for a file in a folder that is none."""
    _check_form(url)
    path = file_path(url)
    if path is not None and not path.parent.is_dir():
        raise UserError(f"{path.parent} is no folder; make it, or give another --storage")


def _check_form(url: str) -> None:
    if kind(url) not in ("sqlite", "journal", "postgresql", "grpc"):
        raise UserError(f"{shown(url)!r} is no storage URL; write {KINDS}")
    if kind(url) in ("sqlite", "journal") and not url.partition(":///")[2]:
        raise UserError(f"{url!r} names no file; write {kind(url)}:///FILE")


def kind(url: str) -> str:
    """`sqlite`, `journal`, `postgresql`, `grpc`, or whatever else the URL begins with."""
    scheme = url.partition("://")[0] if "://" in url else ""
    return "postgresql" if scheme == "postgres" else scheme.partition("+")[0]


def shown(url: str) -> str:
    """The URL without its password, for messages and attributes."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return url.rpartition("@")[2]


def without_password(text: str, url: str) -> str:
    """`text` with the URL's password, should it have got there, made unreadable: as it is written, and as it is."""
    try:
        written, meant = urlsplit(url).password, make_url(url).password
    except (ArgumentError, ValueError):
        return text
    for password in filter(None, (written, meant)):
        text = text.replace(str(password), "***")
    return text


def file_path(url: str) -> Path | None:
    """The file behind a SQLite or journal URL; None for a server."""
    return file_of(url) if kind(url) in ("sqlite", "journal") else None


def file_of(url: str) -> Path:
    """As SQLAlchemy reads it: three slashes and a path, which is absolute if it begins with a fourth."""
    return Path(url.partition(":///")[2]).absolute()


def from_any_folder(url: str) -> str:
    """The same database, whatever folder the URL is opened in."""
    path = file_path(url)
    return url if path is None else f"{kind(url)}:///{path}"


def artifact_root(url: str) -> Path:
    """The folder that the workers share for checkpoints and figures.

    `PHASHOPT_ARTIFACTS`, else beside the database file, else in the current folder.
    """
    if given := os.environ.get("PHASHOPT_ARTIFACTS"):
        return Path(given).absolute()
    path = file_path(url)
    return path.with_name(f"{path.stem}-artifacts") if path is not None else Path("phashopt-artifacts").absolute()


def uploads_folder(root: Path) -> Path:
    """Optuna's own artifact store in `root`, which the dashboard serves."""
    return root / UPLOADS


def study_folder(root: Path, study: str) -> Path:
    """The trials' folders; raises `UserError` for the name of somebody else's study that would lead elsewhere."""
    if study == UPLOADS:
        raise UserError(f"a study called {study!r} would share its folder with all studies' pictures; rename it")
    return inside(root, study)


def trial_folder(root: Path, study: str, number: int) -> Path:
    """Checkpoint, weights and snapshot of one trial."""
    return study_folder(root, study) / f"trial-{number:05d}"


def inside(folder: Path, name: str) -> Path:
    """`folder / name` where `name` is one plain name; raises `UserError` for anything that would leave the folder."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise UserError(f"{name!r} is no name of a file or folder")
    return folder / name


def _open_sqlite(url: str, *, create: bool) -> BaseStorage:
    path = file_of(url)
    if _exists(url, create=create):
        _check_sqlite(path, create=create)
    storage = _rdb(f"sqlite:///{path}", {"connect_args": {"timeout": BUSY_SECONDS}})
    return optuna.storages.get_storage(storage)  # with Optuna's cache of finished trials


def _open_journal(url: str, *, create: bool) -> BaseStorage:
    path = file_of(url)
    if _exists(url, create=create):
        _check_journal(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _open_postgresql(url: str, give_up: Callable[[], bool]) -> BaseStorage:
    """With psycopg 3 unless the URL names a driver; a connection found dead is replaced before it is used."""
    scheme, _, rest = url.partition("://")
    driver = scheme if "+" in scheme else "postgresql+psycopg"
    storage = _rdb(f"{driver}://{rest}", {"pool_pre_ping": True})
    patient = Patient(storage, give_up, once=("create_new_study", "_create_new_trial"))
    return optuna.storages._CachedStorage(cast(RDBStorage, patient))


def _open_proxy(url: str, give_up: Callable[[], bool]) -> BaseStorage:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or PROXY_PORT
    except ValueError as error:
        raise UserError(f"{url!r} is no address of a proxy ({error}); write grpc://HOST:PORT") from error
    if host is None:
        raise UserError(f"{url!r} names no host; write grpc://HOST:PORT")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # a server that goes away is told of once, by `repeat`
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            storage = _PatientProxy(host=host, port=port)
            storage.wait_server_ready(PROXY_SECONDS)
        except ImportError as error:
            raise UserError("a proxy needs grpcio; pip install 'phashopt[server]'") from error
        except ConnectionError as error:
            raise UserError(f"no proxy answers at {host}:{port}; start one with 'phashopt server'") from error
    storage.wait_with(give_up)
    return storage


class _PatientProxy(GrpcStorageProxy):
    """Optuna's client, which waits for a server that is away."""

    def wait_with(self, give_up: Callable[[], bool]) -> None:
        stub: Any = Patient(self._stub, give_up, once=("CreateNewStudy", "CreateNewTrial"))
        self._stub = self._cache.grpc_client = stub

    @property
    def channel(self) -> Any:
        """Where the claim lock is asked for too."""
        return self._channel


def _rdb(url: str, engine: dict[str, Any]) -> RDBStorage:
    try:
        return RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine)  # Optuna fills in braces
    except (ArgumentError, ValueError) as error:
        raise UserError(f"{shown(url)!r} is no storage URL; write {KINDS}") from error
    except ImportError as error:
        raise UserError(f"PostgreSQL needs psycopg ({error}); pip install 'phashopt[postgres]'") from error
    except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = without_password(str(cause).strip().splitlines()[0], url)
        raise UserError(f"{shown(url)} cannot be opened: {reason}") from error


def _exists(url: str, *, create: bool) -> bool:
    path = file_of(url)
    if path.exists():
        return True
    if not create and path.parent.is_dir():
        raise UserError(f"there is no study database {path.name}; create a study in it first, or give another URL")
    check_place(url)
    return False


def _check_sqlite(path: Path, *, create: bool) -> None:
    """Opened for writing, since only that can roll back what a killed process left half written."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        raise UserError(f"{path.name} cannot be opened ({error}); look at its owner and its disk") from error
    except sqlite3.DatabaseError as error:
        if "malformed" in str(error):
            raise UserError(
                f"{path.name} is damaged ({error}); take a backup, or see what 'sqlite3 {path.name} .recover' saves"
            ) from error
        raise UserError(f"{path.name} is no SQLite database ({error}); give another URL") from error
    if "studies" not in tables and (tables or not create):
        raise UserError(f"{path.name} is a database but holds no Optuna studies; give another URL")


def _check_journal(path: Path) -> None:
    """An Optuna journal is one JSON object with an `op_code` a line; an empty file may become one."""
    try:
        with path.open("rb") as file:
            line = file.readline()
        known = not line or "op_code" in json.loads(line)
    except (OSError, ValueError, TypeError):
        known = False
    if not known:
        raise UserError(f"{path.name} is no journal of Optuna's; give another URL")
