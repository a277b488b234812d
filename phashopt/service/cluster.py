"""Workers on a Ray cluster: one restartable actor a slot, which Ray places, and starts elsewhere when its node dies."""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from phashopt.errors import UserError
from phashopt.service.events import Closed
from phashopt.service.storage import file_path, from_any_folder
from phashopt.service.supervisor import KEEP_MEMORY, RESTARTS, Assignment, run_slot

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle

LISTEN_SECONDS = 1.0  # a slot with nothing to say answers so late
REACH_SECONDS = 5.0  # a head that is there takes a connection at once
UNHEARD_SECONDS = 10.0  # one that has not answered for so long has no node, or a dead one


@dataclass(frozen=True)
class Unplaced:
    """No node has room for the slot, or none yet."""


@dataclass(frozen=True)
class Placed:
    """The slot has begun, or begun anew, on this host."""

    host: str


class Slot:
    """A worker in an actor of its own; a restarted one begins anew, with the next trial there is."""

    def __init__(self, assignment: Assignment) -> None:
        self._leave = threading.Event()
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._events.put(Placed(socket.gethostname()))
        arguments = (assignment, self._leave.is_set, self._events.put)
        threading.Thread(target=run_slot, args=arguments, name="worker", daemon=True).start()

    def hear(self, leave: bool) -> list[Any]:
        """What the worker has said since it was last heard, after a while nothing; `leave` asks it to end."""
        if leave:
            self._leave.set()
        try:
            heard = [self._events.get(timeout=LISTEN_SECONDS)]
        except queue.Empty:
            return []
        while not self._events.empty():
            heard.append(self._events.get())
        return heard


class RaySupervisor:
    """Runs `workers` slots on the Ray cluster at `address`, each with one CPU and `gpus` GPUs of its node.

    To be listened to like a `Supervisor`. Raises `UserError` without Ray, without a cluster, or for a database that
    serves one host only if there are several.
    """

    def __init__(self, assignment: Assignment, address: str, *, workers: int, gpus: float) -> None:
        self._ray = _connect(address, assignment.url)
        here = replace(assignment, url=from_any_folder(assignment.url), data_dir=assignment.data_dir.absolute())
        make = self._ray.remote(Slot).options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=RESTARTS,
            max_task_retries=-1,  # whoever hears a lost slot hears its successor
            runtime_env={"env_vars": KEEP_MEMORY},
        )
        self._actors: dict[int, ActorHandle[Slot]] = {slot: make.remote(here) for slot in range(workers)}
        self._leaving = False
        self._answers: dict[ObjectRef[list[Any]], int] = {}
        self._answered_at: dict[int, float] = {}
        for slot in self._actors:
            self._ask(slot)

    def listen(self) -> Iterator[tuple[int, Any]]:
        """(slot, event) as they come, (-1, None) when it is quiet, until every slot has closed."""
        while self._answers:
            answered, _ = self._ray.wait(list(self._answers), timeout=LISTEN_SECONDS)
            for answer in answered:
                slot = self._answers.pop(answer)
                for event in self._events(answer, slot):
                    yield slot, event
                    if isinstance(event, Closed):
                        del self._actors[slot]  # its node has room again
                if slot in self._actors:
                    self._ask(slot)
            yield from self._unplaced()
            if not answered:
                yield -1, None

    def leave(self) -> None:
        """Ask all slots to hand their trials back and end."""
        self._leaving = True

    def kill(self) -> None:
        """End all slots at once: their trials stay where their last checkpoints are."""
        for actor in list(self._actors.values()):
            self._ray.kill(actor)

    def _ask(self, slot: int) -> None:
        self._answers[self._actors[slot].hear.remote(self._leaving)] = slot
        self._answered_at[slot] = time.monotonic()

    def _events(self, answer: ObjectRef[list[Any]], slot: int) -> list[Any]:
        """What the slot said; of an actor that is gone for good, its last word."""
        try:
            heard: list[Any] = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            return [Closed(error=None if self._leaving else f"the actor of slot {slot} is gone: {reason}")]
        return heard

    def _unplaced(self) -> Iterator[tuple[int, Any]]:
        """Slots that wait for a node; given up when all are to leave, since what lease one may hold ends by itself."""
        for slot, actor in self._actors.items():
            if time.monotonic() - self._answered_at[slot] > UNHEARD_SECONDS:
                yield slot, Unplaced()
                if self._leaving:
                    self._ray.kill(actor)


def _connect(address: str, url: str) -> Any:
    """The `ray` module, its client connected."""
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray needs Ray; pip install 'phashopt[ray]'") from error
    _reach(address)
    try:
        ray.init(address, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"no Ray cluster can be had at {address!r} ({reason}); start one with 'ray start'") from error
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    if file_path(url) is not None and nodes > 1:
        ray.shutdown()
        raise UserError(
            f"the Ray cluster has {nodes} nodes, but the study database is a file, whose locks do not hold between "
            "hosts; use PostgreSQL, or 'phashopt server' and --storage grpc://HOST:PORT"
        )
    return ray


def _reach(address: str) -> None:
    """Try the port that an address names, if it names one: Ray would ask for five minutes whether anybody is there."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UserError(f"no Ray cluster answers at {address!r} ({error}); start one with 'ray start'") from error
