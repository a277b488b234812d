"""The claim lock: one worker at a time looks for a trial, so that no trial is claimed twice and no budget overshot.

It is the kernel's where the database is a file, PostgreSQL's own where it is a server, and asked of the proxy where
there is one; each is released when its holder dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages import BaseStorage
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from phashopt.errors import UserError
from phashopt.service.storage import file_path, kind

if TYPE_CHECKING:
    import grpc

SERVICE, METHOD = "phashopt.ClaimLock", "Hold"
HELD, BUSY = b"held", b"busy"
# A holder whose host lost power is given up after half a minute (seconds, seconds, times); a slow one is not.
KEEP_ALIVE = {"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
TURN_SECONDS = 5.0  # how long the proxy lets a client stand in line before it is to ask again


def claim_lock(storage: BaseStorage, url: str, study: str) -> AbstractContextManager[Any]:
    """Hold the one right to claim trials of `study`; blocks until it is free."""
    path = file_path(url)
    if path is not None:
        path = path.resolve()  # links to one database share its lock
        return _held_by_kernel(path.with_name(f"{path.name}.claim"))
    return _held_by_proxy(storage, study) if kind(url) == "grpc" else _held_by_server(storage, study)


@contextmanager
def _held_by_kernel(path: Path) -> Iterator[None]:
    """The file's lock, which the kernel gives to those in line without their asking again: polls cost a core."""
    with path.open("ab") as file:  # closing it lets go
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _held_by_server(storage: BaseStorage, study: str) -> Iterator[None]:
    """PostgreSQL's advisory lock, held by a transaction: it ends with the transaction, the connection or the server."""
    key = int.from_bytes(hashlib.sha256(study.encode()).digest()[:8], "big", signed=True)
    with storage._backend.engine.begin() as connection:  # type: ignore[attr-defined]  # Optuna's RDBStorage
        settings = ", ".join(f"set_config('{setting}', :{setting}, true)" for setting in KEEP_ALIVE)
        connection.execute(text(f"SELECT {settings}"), KEEP_ALIVE)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        yield


@contextmanager
def _held_by_proxy(storage: BaseStorage, study: str) -> Iterator[None]:
    """A call that the proxy answers with `held` and keeps open as long as we do; `busy` means to ask again."""
    import grpc

    hold = storage.channel.unary_stream(f"/{SERVICE}/{METHOD}")  # type: ignore[attr-defined]
    while True:
        call = hold(study.encode())
        try:
            if next(call) == HELD:
                yield
                return
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise UserError("the proxy is Optuna's own, which keeps no budget; start 'phashopt server'") from error
            raise
        finally:
            call.cancel()


def claim_lock_service(storage: BaseStorage, url: str) -> grpc.GenericRpcHandler:
    """The proxy's side: passes on the lock of the database it stands before, to one client a study at a time."""
    import grpc

    taken: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def hold(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        study = request.decode()
        if not taken[study].acquire(timeout=TURN_SECONDS):
            yield BUSY
            return
        gone = threading.Event()
        try:
            with claim_lock(storage, url, study):
                if context.add_callback(gone.set):
                    yield HELD
                    gone.wait()
        except SQLAlchemyError:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the database does not answer")
        finally:
            taken[study].release()

    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: grpc.unary_stream_rpc_method_handler(hold)})
