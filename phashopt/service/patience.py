"""Waiting for a database server that is away: calls are repeated until it answers, or until somebody stops waiting."""

from __future__ import annotations

import logging
import sqlite3
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeGuard, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

PATIENCE_SECONDS = 3600.0
RETRY_SECONDS = 0.5

logger = logging.getLogger("phashopt")
T = TypeVar("T")
_repeating: ContextVar[bool] = ContextVar("repeating", default=False)


class StorageAwayError(RuntimeError):
    """The study database has not answered for longer than anybody wants to wait."""


def repeat(call: Callable[[], T], give_up: Callable[[], bool]) -> T:
    """What `call()` returns once the database is there; within a repeated call nothing else is repeated.

    Raises `StorageAwayError` after an hour, or as soon as `give_up()` is true while the database is away.
    """
    if _repeating.get():
        return call()
    since: float | None = None
    while True:
        marker = _repeating.set(True)
        try:
            answer = call()
        except Exception as error:
            if not is_away(error):
                raise
            now = time.monotonic()
            away = 0.0 if since is None else now - since
            if give_up() or away > PATIENCE_SECONDS:
                raise StorageAwayError(f"the study database has not answered for {away:.0f} s") from error
            if since is None:
                logger.warning("The study database does not answer; waiting for it.")
                since = now
            time.sleep(RETRY_SECONDS)
        else:
            if since is not None:
                logger.warning("The study database answers again, after %.0f s.", time.monotonic() - since)
            return answer
        finally:
            _repeating.reset(marker)


def is_away(error: BaseException | None) -> bool:
    """Whether an error means that the server could not be reached, or came about while another that does was handled.

    Optuna wraps SQLAlchemy's errors in its own, and SQLAlchemy trips over transactions that a lost connection left
    open. SQLite has no server: what its driver complains of does not pass by itself.
    """
    while error is not None:
        if isinstance(error, OperationalError | InterfaceError) or _is_disconnect(error):
            return not isinstance(error.orig, sqlite3.Error)
        if _is_unavailable(error):
            return True
        error = error.__cause__ or error.__context__
    return False


class Patient:
    """Stands before a storage, or a gRPC stub, and repeats its calls while the server is away.

    `once` names those that are not repeated because doing them twice makes two: only the caller knows whether the
    first was done.
    """

    def __init__(self, target: Any, give_up: Callable[[], bool], once: tuple[str, ...]) -> None:
        self._target = target
        self._give_up = give_up
        self._once = once

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return found if name in self._once or not callable(found) else partial(self._call, found)

    def _call(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return repeat(lambda: method(*args, **kwargs), self._give_up)


def _is_disconnect(error: BaseException) -> TypeGuard[DBAPIError]:
    """A connection that the server ended for a reason of its own."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _is_unavailable(error: BaseException) -> bool:
    """A gRPC call that found no server; nobody has gRPC errors who has not imported gRPC."""
    grpc = sys.modules.get("grpc")
    if grpc is None or not isinstance(error, grpc.RpcError):
        return False
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)  # away, or just leaving
