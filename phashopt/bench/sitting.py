"""Work in sittings: several processes on one device, an end by the clock, results kept as they come."""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import optuna
import torch
from joblib import cpu_count

from phashopt.bench.retrain import Job, Scores, Use, Variant, is_over, retrain
from phashopt.errors import UserError
from phashopt.service.budget import used_up
from phashopt.service.creation import create_study
from phashopt.service.patience import StorageAwayError
from phashopt.service.spec import Spec
from phashopt.service.storage import open_storage
from phashopt.service.study import deadline_of, open_study
from phashopt.service.summary import FINISHED, StudySummary, summarize
from phashopt.service.worker import TooManyFailuresError, Worker

T = TypeVar("T")
R = TypeVar("R")


class OutOfTimeError(Exception):
    """The sitting is over; the next one goes on."""


@dataclass(frozen=True)
class Sitting:
    """Where the data is, where unfinished work is kept, how many processes share the device, until when."""

    data_dir: Path
    work: Path
    processes: int = 1
    deadline: float = math.inf  # as of `time.time()`

    @property
    def url(self) -> str:
        """The database of all studies."""
        return f"sqlite:///{self.work}/phashopt.db"

    def search(self, spec: Spec) -> StudySummary:
        """Run the study of `spec` to the end of its budget; raises `OutOfTimeError`.

        Raises `UserError` where the work of an earlier sitting was on another spec of this name.
        """
        name = spec.study.name
        self.work.mkdir(parents=True, exist_ok=True)
        if name not in optuna.get_all_study_names(open_storage(self.url, create=True)):
            create_study(self.url, spec, self.data_dir)
        elif open_study(self.url, name)[1] != spec:
            raise UserError(f"{self.work} holds work on {name} with another spec; name another folder, or remove it.")
        if not self._searched(name):
            pull = partial(_pull, self.url, name, self.data_dir)
            list(self._each(pull, [self.deadline] * self.processes))
        if not self._searched(name):
            raise OutOfTimeError
        return summarize(open_study(self.url, name)[0])

    def retrain(self, spec: Spec, tasks: Sequence[tuple[Variant, Use, int]]) -> list[Scores]:
        """The scores of every (variant, use, index), kept from earlier sittings or trained now.

        Raises `OutOfTimeError` where some are missing at the end.
        """
        folder = self.work / spec.study.name
        jobs = [Job(spec, *task, self.data_dir, folder, self.deadline) for task in tasks]
        list(self._each(retrain, list({job.key: job for job in jobs if not job.kept.exists()}.values())))
        if not all(job.kept.exists() for job in jobs):
            raise OutOfTimeError
        return [json.loads(job.kept.read_text()) for job in jobs]

    def _searched(self, name: str) -> bool:
        """Whether the study's budget is spent and nothing of it is under way."""
        study, spec = open_study(self.url, name)
        trials = study.get_trials(deepcopy=False)
        done = all(trial.state.name in FINISHED for trial in trials)
        return done and used_up(spec.study, trials, deadline_of(study, spec)) is not None

    def _each(self, function: Callable[[T], R], arguments: Sequence[T]) -> Iterator[R]:
        """`function` of every argument, in order; in this process where one is enough."""
        return self._pool.map(function, arguments) if self.processes > 1 else map(function, arguments)

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        """Started once, with the images loaded: importing torch takes as long as a short training on a GPU."""
        context = multiprocessing.get_context("spawn")
        threads = (max(1, cpu_count() // self.processes),)
        return ProcessPoolExecutor(self.processes, context, initializer=torch.set_num_threads, initargs=threads)


def _pull(url: str, name: str, data_dir: Path, deadline: float) -> None:
    """A worker that hands its trial back at the deadline; raises `UserError` for what would happen again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        Worker(url, name, data_dir, label="table", stopping=lambda: is_over(deadline)).work()
    except (TooManyFailuresError, StorageAwayError) as error:
        raise UserError(f"{name}: {error}") from error
