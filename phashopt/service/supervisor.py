"""One process a slot: workers started, listened to, and asked to leave when the supervisor is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ctypes import c_byte
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from phashopt.errors import UserError
from phashopt.service.events import Closed, Ended
from phashopt.service.lease import GRACE_SECONDS
from phashopt.service.patience import logger, repeat

# Slots are forked from a process that has imported all they need: that costs seconds and hundreds of megabytes, once.
# It has not touched CUDA, which does not survive a fork.
START = "forkserver" if sys.platform == "linux" else "spawn"
IMPORTED = ["phashopt.service.worker", "torch._dynamo"]  # the last by any optimizer of torch, at its first use
LISTEN_SECONDS = 0.25
RESTARTS = 5  # of a slot whose process died
# glibc gives large blocks back to the kernel when freed, and a training step asks for the same ones again: kept, its
# steps are a sixth faster. Other C libraries ignore this.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


@dataclass(frozen=True)
class Assignment:
    """What every slot is told; `threads` is CPU threads a slot, `limit` trials a slot, `grace` the worker's."""

    url: str
    name: str
    data_dir: Path
    threads: int
    limit: int | None = None
    grace: float = GRACE_SECONDS


class Supervisor:
    """Runs one worker a slot, each in its own process with its own `CUDA_VISIBLE_DEVICES`.

    `devices` names each slot's GPU, None to leave the environment as it is. A process that dies without a word, as
    those do that the kernel kills for memory, is started again a few times.
    """

    def __init__(self, assignment: Assignment, devices: Sequence[str | None]) -> None:
        self._assignment = assignment
        self._devices = devices
        self._context: Any = multiprocessing.get_context(START)
        self._context.set_forkserver_preload(IMPORTED)
        # without a lock: one that is killed, or hears a signal, while it looks would keep all others waiting for good
        self._leave = self._context.RawValue("b", 0)
        self._killed = False
        self._processes: dict[int, BaseProcess] = {}
        self._ears: dict[Connection, int] = {}
        self._deaths: Counter[int] = Counter()
        self._ended: Counter[int] = Counter()

    def listen(self) -> Iterator[tuple[int, Any]]:
        """Start the slots; (slot, event) as they come, (-1, None) when it is quiet, until every slot has closed."""
        for slot in range(len(self._devices)):
            if not self._leave.value:
                self._start(slot)
        while self._ears:
            heard = [ear for ear in wait(list(self._ears), LISTEN_SECONDS) if isinstance(ear, Connection)]
            if not heard:
                yield -1, None
            for ear in heard:
                slot = self._ears[ear]
                event = self._hear(ear, slot)
                if event is None:
                    continue
                yield slot, event
                if isinstance(event, Closed):
                    del self._ears[ear]

    def leave(self) -> None:
        """Ask all slots to hand their trials back and end."""
        self._leave.value = 1

    def kill(self) -> None:
        """End all slots at once: their trials stay where their last checkpoints are."""
        self._killed = True
        for process in self._processes.values():
            process.kill()

    def _start(self, slot: int) -> None:
        ear, mouth = self._context.Pipe(duplex=False)
        arguments = (self._left_to(slot), self._devices[slot], self._leave, mouth)
        process = self._context.Process(target=_run_process, args=arguments, name=f"slot-{slot}")
        with _environment(KEEP_MEMORY), _deaf():
            process.start()
        mouth.close()
        self._processes[slot] = process
        self._ears[ear] = slot

    def _left_to(self, slot: int) -> Assignment:
        """The trials that one before it in its slot has ended are not to be had again."""
        limit = self._assignment.limit
        return replace(self._assignment, limit=None if limit is None else limit - self._ended[slot])

    def _hear(self, ear: Connection, slot: int) -> Any:
        """What the slot says; of one that died, its last word, or None if it was started again."""
        try:
            event = ear.recv()
        except EOFError:
            self._processes[slot].join()
            said = f"the process of slot {slot} died with status {self._processes[slot].exitcode}"
            self._deaths[slot] += 1
            if self._killed or self._leave.value or self._deaths[slot] > RESTARTS:
                return Closed(error=said)
            logger.warning("%s and is started again.", said.capitalize())
            del self._ears[ear]
            self._start(slot)
            return None
        self._ended[slot] += isinstance(event, Ended)
        return event


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Processes started meanwhile see `changes`."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C waits. Processes started meanwhile never hear it: the one they are forked from would say so at length."""
    resource_tracker.ensure_running()  # the first process would start it, which lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_process(assignment: Assignment, device: str | None, leave: c_byte, mouth: Connection) -> None:
    """The life of a slot's process. Ctrl-C reaches the whole terminal group: the supervisor alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: setattr(leave, "value", 1))
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    # without the supervisor there is nobody to speak to, and the trial is back in the queue
    with suppress(BrokenPipeError):
        run_slot(assignment, lambda: bool(leave.value) or not supervisor.is_alive(), mouth.send)


def run_slot(assignment: Assignment, stopping: Callable[[], bool], notify: Callable[[Any], None]) -> None:
    """Work in this process until nothing is left to do or `stopping()`; `notify` hears every event, last `Closed`."""
    import optuna
    import torch

    from phashopt.service.storage import without_password
    from phashopt.service.worker import Worker

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(assignment.threads)
    label = f"{socket.gethostname()}:{os.getpid()}"
    place = (assignment.url, assignment.name, assignment.data_dir)

    def make() -> Worker:
        return Worker(*place, label=label, stopping=stopping, notify=notify, grace=assignment.grace)

    try:
        worker = repeat(make, stopping)  # the supervisor has seen the database: it is there, or will be again
        notify(Closed(worker.work(assignment.limit)))
    except UserError as error:
        notify(Closed(error=str(error), users_error=True))
    except BrokenPipeError:
        raise
    except Exception as error:
        notify(Closed(error=without_password(f"{type(error).__name__}: {error}", assignment.url)))
