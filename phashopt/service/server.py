"""One process before the study database: Optuna's gRPC proxy with the claim lock, and a reaper for every study."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage

from phashopt.errors import UserError
from phashopt.service.lease import BEAT_SECONDS, GRACE_SECONDS
from phashopt.service.locks import claim_lock, claim_lock_service
from phashopt.service.patience import StorageAwayError, is_away, logger
from phashopt.service.reaper import Reaper
from phashopt.service.storage import kind, open_storage, shown
from phashopt.service.study import open_plain, read_spec
from phashopt.service.summary import SPEC_KEY

if TYPE_CHECKING:
    import grpc

THREADS = 256  # a worker has two calls under way at most, and a third while it claims or stands in line to
OPTIONS = {
    "grpc.so_reuseport": 0,  # else two servers share a port, and each gets half of the calls
    "grpc.keepalive_time_ms": 20_000,  # a client's host may lose power
    "grpc.keepalive_timeout_ms": 10_000,
}


class Server:
    """Serves the database at `url` on `host`:`port` from `with` to its end; port 0 takes a free one.

    Raises `UserError` for a database that cannot be served, or an address that cannot be taken.
    """

    def __init__(self, url: str, host: str, port: int, *, grace: float = GRACE_SECONDS) -> None:
        if kind(url) not in ("sqlite", "postgresql"):
            raise UserError(f"{shown(url)} cannot be served; Optuna's proxy stands before SQLite or PostgreSQL")
        self._url = url
        self._grace = grace
        self.storage = open_storage(url, give_up=lambda: True)  # the clients wait, and claim anew
        self._server = _grpc_server(self.storage, url)
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise UserError(f"{host}:{port} cannot be taken; give another --proxy-port") from error
        self._ended = threading.Event()
        self._reaping = threading.Thread(target=self._reap, name="reaper", daemon=True)

    def __enter__(self) -> Server:
        self._server.start()
        self._reaping.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.stop(grace=None).wait()
        self._reaping.join()

    def _reap(self) -> None:
        """Hand back the trials of dead workers while no worker is there to do so."""
        reapers: dict[str, Reaper] = {}
        while not self._ended.wait(min(BEAT_SECONDS, self._grace / 10)):
            for name in self._study_names():
                try:
                    self._reap_study(name, reapers)
                except Exception as error:  # one study's trouble is not another's
                    reapers.pop(name, None)
                    if not is_away(error):
                        logger.warning("The reaper met %s in study %s: %s", type(error).__name__, name, error)

    def _study_names(self) -> list[str]:
        try:
            return optuna.get_all_study_names(self.storage)
        except Exception as error:
            if not is_away(error):
                raise
            return []

    def _reap_study(self, name: str, reapers: dict[str, Reaper]) -> None:
        if name not in reapers:
            study = open_plain(self.storage, name)
            if SPEC_KEY not in study.user_attrs:
                return
            attempts = read_spec(study).study.max_attempts
            reapers[name] = Reaper(study, self._url, attempts, grace=self._grace)
        with claim_lock(self.storage, self._url, name):
            reapers[name].reap()


def _grpc_server(storage: BaseStorage, url: str) -> grpc.Server:
    """Optuna's service and the claim lock's; what is the database's absence is called so."""
    try:
        import grpc
    except ImportError as error:
        raise UserError("the server needs grpcio; pip install 'phashopt[server]'") from error
    from optuna.storages._grpc.auto_generated.api_pb2_grpc import add_StorageServiceServicer_to_server
    from optuna.storages._grpc.servicer import OptunaStorageProxyService

    class Honest(grpc.ServerInterceptor):  # type: ignore[misc]  # gRPC has no types
        def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
            handler = continuation(details)
            if handler is None or handler.unary_unary is None:
                return handler
            return handler._replace(unary_unary=_saying_when_away(handler.unary_unary))

    server = grpc.server(ThreadPoolExecutor(THREADS), interceptors=[Honest()], options=list(OPTIONS.items()))
    add_StorageServiceServicer_to_server(OptunaStorageProxyService(storage), server)
    server.add_generic_rpc_handlers((claim_lock_service(storage, url),))
    return server


def _saying_when_away(answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A client repeats what is UNAVAILABLE; any other exception is UNKNOWN to it."""

    def answer_or_say(request: Any, context: Any) -> Any:
        try:
            return answer(request, context)
        except Exception as error:
            if is_away(error) or isinstance(error, StorageAwayError):
                import grpc

                context.abort(grpc.StatusCode.UNAVAILABLE, "the study database does not answer")
            raise

    return answer_or_say
