"""One process a slot: workers started, listened to, and asked to leave when the supervisor is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Any

from phashopt.errors import UserError

LISTEN_SECONDS = 0.25
# glibc gives large blocks back to the kernel when freed, and a training step asks for the same ones again: kept, its
# steps are a sixth faster. Other C libraries ignore this.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


@dataclass(frozen=True)
class Assignment:
    """What every slot is told; `threads` is CPU threads a slot, `limit` trials a slot."""

    url: str
    name: str
    data_dir: Path
    threads: int
    limit: int | None = None


@dataclass(frozen=True)
class Closed:
    """A slot's last word: how many trials ended in which state, or what went wrong."""

    ends: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    users_error: bool = False  # the user can mend it


class Supervisor:
    """Runs one worker a slot, each in its own process with its own `CUDA_VISIBLE_DEVICES`.

    `devices` names each slot's GPU, None to leave the environment as it is.
    """

    def __init__(self, assignment: Assignment, devices: Sequence[str | None]) -> None:
        context = multiprocessing.get_context("spawn")
        self._leave = context.Event()
        self._processes: list[SpawnProcess] = []
        self._ears: dict[Connection, int] = {}
        for slot, device in enumerate(devices):
            ear, mouth = context.Pipe(duplex=False)
            process = context.Process(target=_run_slot, args=(assignment, self._leave, mouth), name=f"slot-{slot}")
            with _environment(KEEP_MEMORY if device is None else {**KEEP_MEMORY, "CUDA_VISIBLE_DEVICES": device}):
                process.start()
            mouth.close()
            self._processes.append(process)
            self._ears[ear] = slot

    def listen(self) -> Iterator[tuple[int, Any]]:
        """(slot, event) as they come, (-1, None) when it is quiet, until every slot has closed."""
        open_ears = dict(self._ears)
        while open_ears:
            heard = [ear for ear in wait(list(open_ears), LISTEN_SECONDS) if isinstance(ear, Connection)]
            if not heard:
                yield -1, None
            for ear in heard:
                event = self._hear(ear, open_ears[ear])
                yield open_ears[ear], event
                if isinstance(event, Closed):
                    del open_ears[ear]

    def leave(self) -> None:
        """Ask all slots to hand their trials back and end."""
        self._leave.set()

    def kill(self) -> None:
        """End all slots at once: their trials stay where their last checkpoints are."""
        for process in self._processes:
            process.kill()

    def _hear(self, ear: Connection, slot: int) -> Any:
        try:
            return ear.recv()
        except EOFError:
            self._processes[slot].join()
            return Closed(error=f"the process of slot {slot} died with status {self._processes[slot].exitcode}")


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


def _run_slot(assignment: Assignment, leave: Flag, mouth: Connection) -> None:
    """The life of a slot's process. Ctrl-C reaches the whole terminal group: the supervisor alone answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: leave.set())
    import optuna
    import torch

    from phashopt.service.storage import without_password
    from phashopt.service.worker import Worker

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(assignment.threads)
    parent = os.getppid()
    try:
        worker = Worker(
            assignment.url,
            assignment.name,
            assignment.data_dir,
            label=f"{socket.gethostname()}:{os.getpid()}",
            stopping=lambda: leave.is_set() or os.getppid() != parent,
            notify=mouth.send,
        )
        mouth.send(Closed(worker.work(assignment.limit)))
    except UserError as error:
        mouth.send(Closed(error=str(error), users_error=True))
    except BrokenPipeError:
        pass  # the supervisor is gone; the trial is back in the queue
    except Exception as error:
        mouth.send(Closed(error=without_password(f"{type(error).__name__}: {error}", assignment.url)))
