"""Who holds a running trial. A worker that dies leaves a lease that stands still, and another takes its trial over.

The storage has no clock and no compare-and-swap but WAITING -> RUNNING, so a lease is a token and a counter that its
holder bumps; whoever sees the pair unchanged for a grace period of its own monotonic clock calls it expired.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any
from uuid import uuid4

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

LEASE_KEY = "lease"
BEAT_SECONDS = 5.0
GRACE_SECONDS = 60.0


class Lease:
    """This worker's hold on a running trial, kept up by a thread from `with` to its end."""

    def __init__(self, storage: BaseStorage, trial_id: int, *, beat: float = BEAT_SECONDS) -> None:
        self._storage = storage
        self._trial_id = trial_id
        self._beat = beat
        self._token = uuid4().hex
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name=f"lease-{trial_id}", daemon=True)

    def __enter__(self) -> Lease:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def held(self) -> bool:
        """Whether the trial is still running and still this worker's: asked before anything is told of it."""
        trial = self._storage.get_trial(self._trial_id)
        return trial.state == TrialState.RUNNING and _token(trial) == self._token

    def _keep_up(self) -> None:
        """Bump the counter until the end, or until the trial is somebody else's; a storage that is away may return."""
        while not self._ended.wait(self._beat):
            try:
                if not self.held():
                    return
                self._count += 1
                self._write()
            except Exception:  # whatever the absence of a database server looks like
                continue

    def _write(self) -> None:
        lease: dict[str, str | int] = {"token": self._token, "count": self._count}
        self._storage.set_trial_system_attr(self._trial_id, LEASE_KEY, lease)


class Watch:
    """Sees which running trials have lost their worker: leases that stood still for `grace` seconds."""

    def __init__(self, *, grace: float = GRACE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._seen: dict[int, tuple[Any, float]] = {}

    def expired(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Those of the study's `trials` whose lease has been the same for the grace period; call it often."""
        now = self._clock()
        running = {trial._trial_id: trial for trial in trials if trial.state == TrialState.RUNNING}
        self._seen = {
            key: self._seen[key] if key in self._seen and self._seen[key][0] == _lease(trial) else (_lease(trial), now)
            for key, trial in running.items()
        }
        return [trial for key, trial in running.items() if now - self._seen[key][1] >= self._grace]


def _lease(trial: FrozenTrial) -> Any:
    return trial.system_attrs.get(LEASE_KEY)


def _token(trial: FrozenTrial) -> str | None:
    lease = _lease(trial)
    return lease["token"] if lease else None
