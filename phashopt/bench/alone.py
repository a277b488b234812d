"""One process at a time: what two would write at once is lost in part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from phashopt.errors import UserError


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """As the only process that holds `PATH.lock`; raises `UserError`, with `what` it does, if another one does.

    The file is removed at the end, when nothing is left for others to do, and stays after an interruption.
    """
    file = path.with_name(f"{path.name}.lock")
    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(f"another process {what}; wait for it, or end it: what it has done is kept") from error
    try:
        yield
        file.unlink(missing_ok=True)
    finally:
        lock.release()
