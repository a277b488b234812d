"""Who holds a running trial. A worker that dies leaves a lease that stands still, and another takes its trial over.

The storage has no clock and no compare-and-swap but WAITING -> RUNNING, so a lease is a token and a counter that its
holder bumps; whoever sees the pair unchanged for a grace period of its own monotonic clock calls it expired.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from phashopt.service.draft import Draft

LEASE_KEY = "lease"
BEAT_KEY = "beat"  # apart from the token, or a beat begun before the trial was taken away would bring it back
GRACE_SECONDS = 60.0
BEATS = 12  # in a grace period: so often its holder bumps a lease
BEAT_SECONDS = GRACE_SECONDS / BEATS
LOOKS = 4  # at least so many looks must see a lease stand still: one who was away himself has seen nothing
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # the same for all containers of one kernel


class Lease:
    """This worker's hold on a running trial: taken under the claim lock, kept up by a thread from `with` to its end.

    `host` is named where the database serves one host only.
    """

    def __init__(
        self, storage: BaseStorage | Draft, trial_id: int, *, host: str | None = None, beat: float = BEAT_SECONDS
    ) -> None:
        self._host = host
        self._storage = storage
        self._trial_id = trial_id
        self._beat = beat
        self._token = uuid4().hex
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="lease", daemon=True)

    def take(self) -> Lease:
        """Write the first token: from now on whoever held the trial before has lost it."""
        lease = {"token": self._token, "host": self._host}
        self._storage.set_trial_system_attr(self._trial_id, LEASE_KEY, lease)
        return self

    def follow(self, storage: BaseStorage, trial_id: int) -> Lease:
        """From the draft that it was taken on to the trial that the draft has become."""
        self._storage, self._trial_id = storage, trial_id
        return self

    def __enter__(self) -> Lease:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(BEAT_SECONDS)  # it may be waiting for a database that is away

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
                beat: dict[str, str | int] = {"token": self._token, "count": self._count}
                self._storage.set_trial_system_attr(self._trial_id, BEAT_KEY, beat)
            except Exception:  # whatever the absence of a database server looks like
                continue


class Watch:
    """Sees which running trials have lost their worker: leases that stood still for `grace` seconds of looking."""

    def __init__(self, *, grace: float = GRACE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._looked_at = clock()
        self._seen: dict[int, tuple[Any, float]] = {}  # trial id -> its lease, and for how long it was seen so
        self.moved: list[FrozenTrial] = []  # whose lease was bumped between the last two looks: the holder lives

    def expired(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Those of the study's `trials` whose lease has been the same for the grace period; call it often."""
        now = self._clock()
        looked = min(now - self._looked_at, self._grace / LOOKS)
        self._looked_at = now
        running = {trial._trial_id: trial for trial in trials if trial.state == TrialState.RUNNING}
        before = self._seen
        self._seen = {}
        self.moved = []
        for key, trial in running.items():
            lease, still = before.get(key, (None, 0.0))
            same = key in before and lease == read_lease(trial)
            self._seen[key] = (read_lease(trial), still + looked if same else 0.0)
            self.moved += [trial] if key in before and not same else []
        return [trial for key, trial in running.items() if self._seen[key][1] >= self._grace]


def read_lease(trial: FrozenTrial) -> Any:
    """The trial's lease: `token`, `host` and, once its holder has bumped it, `count`; None if nobody ever took it."""
    lease, beat = trial.system_attrs.get(LEASE_KEY), trial.system_attrs.get(BEAT_KEY)
    return {**lease, "count": beat["count"]} if lease and beat and beat["token"] == lease["token"] else lease


def this_host() -> str:
    """What tells this host from others, containers on it included."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else socket.gethostname()


def _token(trial: FrozenTrial) -> str | None:
    lease = read_lease(trial)
    return lease["token"] if lease else None
