"""What the service costs: seconds of database, sampler and lease for a trial whose training costs nothing.

    python scripts/bench_service.py

A trial here is what a worker makes of it: claimed under the lock, proposed, leased, signed, constrained, eight epochs
traced and reported, its numbers and its decision written, told. Plain Optuna writes the same trial, parameter by
parameter, with a random sampler and neither lock, lease, signature nor decision. "sampler ms" is what the proposal
computes, part of the claim; "database of plain" compares all the rest. A worker's first trial is apart: whoever opens a
study, plain Optuna too, first reads its finished trials. The two take turns, and medians are shown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TypeVar

import optuna
from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState, create_trial
from results import Row, Tables, publish
from throwaway_postgres import Postgres

from phashopt.service.creation import create_study
from phashopt.service.lease import Lease
from phashopt.service.objective import Result
from phashopt.service.queue import Queue
from phashopt.service.server import Server
from phashopt.service.spec import Spec, parse_spec
from phashopt.service.storage import open_storage
from phashopt.service.study import open_study
from phashopt.service.worker import Worker
from phashopt.trace import TRACE_KEY, Epoch, Reading, Trace, write_trace

EPOCHS = 8
NAME = "bench"
KINDS = ("sqlite", "journal", "postgresql", "grpc")
UNLIMITED = 10**6
T = TypeVar("T")
ATTRIBUTES = {f"number.{index:02d}": 0.5 for index in range(20)}  # as many as a trial of two layers leaves


@dataclass
class Clock:
    """Seconds spent in each part of a trial."""

    claim: float = 0.0
    sampler: float = 0.0  # part of the claim
    writes: float = 0.0
    tell: float = 0.0

    @property
    def total(self) -> float:
        return self.claim + self.writes + self.tell

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        setattr(self, part, getattr(self, part) + time.perf_counter() - start)

    def timed(self, part: str, call: Callable[..., T]) -> Callable[..., T]:
        def run(*args: object) -> T:
            with self.time(part):
                return call(*args)

        return run


def write_a_trial(trial: Trial) -> None:
    """The constraints, traces, reports and numbers of a training."""
    trial.set_constraint("macs", -1.0)
    trace = Trace()
    for epoch in range(1, EPOCHS + 1):
        trace.add(_epoch(epoch))
        write_trace(trial, trace)
        trial.report(1 - 0.5 / epoch, epoch)
    for key, value in ATTRIBUTES.items():
        trial.set_user_attr(key, value)


def ours(url: str) -> Iterator[Clock]:
    study, spec = open_study(url, NAME)
    queue, propose = Queue(study, spec, url, "bench"), study.sampler.sample_relative
    while True:
        clock = Clock()
        study.sampler.sample_relative = clock.timed("sampler", propose)  # type: ignore[method-assign]
        with clock.time("claim"):
            claim = queue.claim()
        assert claim is not None
        with claim.lease as lease:
            with clock.time("writes"):
                write_a_trial(claim.trial)
            with clock.time("tell"):
                assert lease.held()
                study.tell(claim.trial, 0.5)
        yield clock


def plain_optuna(url: str) -> Iterator[Clock]:
    study, spec = open_study(url, NAME)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    while True:
        clock = Clock()
        with clock.time("claim"):
            trial = study.ask(spec.space)
        with clock.time("writes"):
            write_a_trial(trial)
        with clock.time("tell"):
            study.tell(trial, 0.5)
        yield clock


def by_finished_trials(urls: dict[str, str], counts: list[int], trials: int) -> list[Row]:
    rows: list[Row] = []
    for storage, url in urls.items():
        for count in counts:
            fill(url, count)
            turns = islice(zip(ours(url), plain_optuna(url), strict=True), 1 + trials)  # the same load for both
            made = dict(zip(("phashopt", "plain Optuna"), zip(*turns, strict=True), strict=True))
            usual = {maker: _median(later) for maker, (_, *later) in made.items()}
            plain = usual["plain Optuna"].total
            for maker, clock in usual.items():
                parts = {f"{part} ms": round(1000 * seconds, 1) for part, seconds in vars(clock).items()}
                rows.append(
                    {"storage": storage, "finished": count, "by": maker, "first ms": round(1000 * made[maker][0].total)}
                    | parts
                    | {
                        "total ms": round(1000 * clock.total, 1),
                        "of plain": round(clock.total / plain, 2),
                        "database of plain": round((clock.total - clock.sampler) / plain, 2),
                    }
                )
    return rows


def _median(clocks: list[Clock]) -> Clock:
    return Clock(**{part: statistics.median(getattr(clock, part) for clock in clocks) for part in vars(Clock())})


def fill(url: str, count: int) -> None:
    """Bring the study to `count` finished trials, whose kind is that of the trials measured."""
    study, spec = open_study(url, NAME)
    for trial in study.get_trials(deepcopy=False):
        if trial.state == TrialState.WAITING:
            study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    sampler = optuna.samplers.RandomSampler(seed=count)
    for number in range(len(study.get_trials(deepcopy=False)), count):
        study.add_trial(_finished(spec, sampler, study, number))


def _finished(spec: Spec, sampler: optuna.samplers.BaseSampler, study: Study, number: int) -> FrozenTrial:
    drawn = {
        name: sampler.sample_independent(study, create_trial(state=TrialState.RUNNING), name, distribution)
        for name, distribution in spec.space.items()
    }
    return create_trial(
        value=0.5 + (number % 97) / 200,
        params=drawn,
        distributions=spec.space,
        user_attrs=ATTRIBUTES,
        system_attrs={TRACE_KEY: Trace([_epoch(number) for number in range(1, EPOCHS + 1)]).to_json()},
        intermediate_values=dict.fromkeys(range(1, EPOCHS + 1), 0.5),
    )


def _epoch(number: int) -> Epoch:
    readings = {name: Reading(redundancy=0.1, duplicates=0.2, dead=0.0) for name in ("width_00", "width_01")}
    return Epoch(number, 1 / number, 1 - 0.5 / number, 0.1, readings)


def by_workers(urls: dict[str, str], workers: list[int], seconds: float, trials: int) -> list[Row]:
    rows: list[Row] = []
    for storage, url in urls.items():
        for count in workers:
            took = _together(count, _sleep, url, seconds, trials)
            best = trials * seconds
            rows.append(
                {
                    "storage": storage,
                    "workers": count,
                    "trials": count * trials,
                    "seconds": round(took, 1),
                    "overhead ms a trial": round(1000 * (took - best) / trials),
                    "busy": f"{best / took:.0%}",
                }
            )
    return rows


def _together(workers: int, target: Callable[..., None], *args: object) -> float:
    """Seconds for so many processes to end, from the moment that all stand at the barrier, their last argument."""
    context = multiprocessing.get_context("forkserver")
    start = context.Barrier(workers + 1)
    processes = [context.Process(target=target, args=(*args, start)) for _ in range(workers)]
    for process in processes:
        process.start()
    start.wait()
    began = time.perf_counter()
    for process in processes:
        process.join()
    return time.perf_counter() - began


def _sleep(url: str, seconds: float, trials: int, start: Barrier) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Trial) -> Result:
        time.sleep(seconds)
        return Result(accuracy=0.5, stopped=False, epochs_used=0)

    worker = Worker(url, NAME, Path(), label=str(os.getpid()), make_objective=lambda *_: objective)
    start.wait()
    worker.work(limit=trials)


def claims(urls: dict[str, str], workers: int, trials: int) -> list[Row]:
    """How many waiting trials a second can be claimed at most."""
    rows: list[Row] = []
    for storage, url in urls.items():
        study, spec = open_study(url, NAME)
        for _ in range(workers * trials):
            study.enqueue_trial(spec.baseline)
        rate = workers * trials / _together(workers, _claim, url, trials)
        rows.append({"storage": storage, "workers": workers, "claims a second": round(rate, 1)})
    return rows


def _claim(url: str, trials: int, start: Barrier) -> None:
    study, spec = open_study(url, NAME)
    queue = Queue(study, spec, url, "bench")
    start.wait()
    for _ in range(trials):
        queue.claim()


def beats(urls: dict[str, str], count: int = 50) -> list[Row]:
    """What keeping a lease up costs every five seconds: the median of `count` looks and bumps."""
    rows: list[Row] = []
    for storage, url in urls.items():
        study, spec = open_study(url, NAME)
        lease = Lease(study._storage, study.ask(spec.space)._trial_id).take()
        times = []
        for _ in range(count):
            begun = time.perf_counter()
            assert lease.held()
            lease.take()
            times.append(time.perf_counter() - begun)
        rows.append({"storage": storage, "ms a beat": round(1000 * statistics.median(times), 1)})
    return rows


@contextmanager
def databases(kinds: list[str]) -> Iterator[Callable[[], dict[str, str]]]:
    """Makes a new database of each kind with an empty study in it, as often as it is called."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="phashopt-bench-")))
        os.environ["PHASHOPT_ARTIFACTS"] = str(folder / "artifacts")
        postgres = stack.enter_context(Postgres(durable=True)) if {"postgresql", "grpc"} & set(kinds) else None

        def make(kind: str, number: int) -> str:
            if kind == "postgresql" and postgres:
                return postgres.new_database()
            if kind == "grpc" and postgres:
                server = stack.enter_context(Server(postgres.new_database(), "127.0.0.1", 0))
                return f"grpc://127.0.0.1:{server.port}"
            return f"{kind}:///{folder / f'{number}.db'}"

        def make_all() -> dict[str, str]:
            number = len(list(folder.iterdir()))
            urls = {kind: make(kind, number + index) for index, kind in enumerate(kinds)}
            for url in urls.values():
                open_storage(url, create=True)
                create_study(url, _spec(), folder)
                fill(url, 1)
            return urls

        yield make_all


def _spec() -> Spec:
    document = {
        "study": {"name": NAME, "trials": UNLIMITED},
        "data": {"dataset": "digits", "limit": 300},
        "network": {"kernel_size": 3, "widths": {"low": 4, "high": 64, "step": 4}, "baseline": [32, 64]},
        "training": {"epochs": {"low": 2, "high": 8}, "learning_rate": {"low": 0.003, "high": 0.3, "log": True}},
        "limits": {"macs": 400_000},
    }
    return parse_spec(document, "bench")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--finished", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--storages", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--trials", type=int, default=20, help="measured for each number")
    parser.add_argument("--seconds", type=float, default=2.0, help="a sleeping trial takes")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["phashopt.service.worker"])
    started = time.perf_counter()
    with databases(options.storages) as fresh:
        tables: Tables = {
            "One worker, by finished trials": by_finished_trials(fresh(), options.finished, options.trials),
            f"Workers whose trials sleep {options.seconds:g} s": by_workers(
                fresh(), options.workers, options.seconds, options.trials
            ),
            "Claims of waiting trials": claims(fresh(), 8, options.trials),
            "A lease kept up": beats(fresh()),
        }
    publish("SERVICE", "What the service costs", tables, ("optuna", "sqlalchemy", "psycopg", "grpcio"), started)


if __name__ == "__main__":
    main()
