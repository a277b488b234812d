"""A lock for what is pickled or copied with its owner."""

from __future__ import annotations

from threading import Lock
from types import TracebackType


class OwnLock:
    """`threading.Lock` as a context manager, a new one in each copy: samplers and pruners are pickled with a study."""

    def __init__(self) -> None:
        self._lock = Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[OwnLock], tuple[()]]:
        return OwnLock, ()
