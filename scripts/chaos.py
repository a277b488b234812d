"""Workers killed at random and a database that goes away: does every trial end once, and is the budget met exactly?

    python scripts/chaos.py --storage postgresql --trials 500 --workers 32 --kills 100 --outages 2
    python scripts/chaos.py --storage sqlite --trials 60 --workers 6 --kills 15

The workers are phashopt's own; only the training is replaced by sleep, step by step, with a checkpoint after each.
Exits 1 if anything does not hold.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path

import optuna
from optuna import Study, Trial
from throwaway_postgres import Postgres

from phashopt.service.check import check_study
from phashopt.service.creation import create_study
from phashopt.service.objective import Hooks, Result
from phashopt.service.patience import repeat
from phashopt.service.spec import Spec, parse_spec
from phashopt.service.storage import artifact_root, open_storage, trial_folder
from phashopt.service.study import open_plain
from phashopt.service.summary import FINISHED
from phashopt.service.worker import Worker
from phashopt.training.files import save_bytes
from phashopt.training.loop import Interrupted

STEPS = 8
NAME = "chaos"
KINDS = ("sqlite", "journal", "postgresql")
LONGEST = 1800  # seconds


class Sleeper:
    """Sleeps through a trial's steps; writes down who did which step when, and goes on where a checkpoint says."""

    def __init__(self, root: Path, hooks: Hooks, seconds: float) -> None:
        self._root = root
        self._hooks = hooks
        self._seconds = seconds

    def __call__(self, trial: Trial) -> Result:
        folder = trial_folder(self._root, NAME, trial.number)
        checkpoint, diary = folder / "steps.json", folder / f"diary-{trial.user_attrs['attempt']}-{os.getpid()}"
        first = json.loads(checkpoint.read_bytes()) if checkpoint.exists() else 0
        folder.mkdir(parents=True, exist_ok=True)
        for step in range(first, STEPS):
            self._sleep(diary, step)
            if step + 1 not in trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values:
                trial.report(step / STEPS, step + 1)
            save_bytes(checkpoint, json.dumps(step + 1).encode())
        return Result(accuracy=0.5, stopped=False, epochs_used=STEPS)

    def _sleep(self, diary: Path, step: int) -> None:
        """As often as a training asks between its steps, whether it may go on."""
        ends = time.monotonic() + self._seconds / STEPS
        while time.monotonic() < ends:
            if self._hooks.interrupted():
                raise Interrupted
            with diary.open("a") as file:
                file.write(f"{step} {time.monotonic()}\n")
            time.sleep(0.02)


class Herd:
    """The worker processes, forked from this one so that a new one costs little."""

    def __init__(self, url: str, grace: float, seconds: float) -> None:
        self._work = (url, grace, seconds)
        self._processes: list[BaseProcess] = []
        self.failed = 0

    def start(self, count: int = 1) -> None:
        context = multiprocessing.get_context("fork")
        for _ in range(count):
            process = context.Process(target=_work, args=self._work)
            process.start()
            self._processes.append(process)

    def kill(self, random_numbers: random.Random) -> bool:
        """Ends one at once; false if none is left."""
        living = [process for process in self._processes if process.is_alive()]
        if living:
            random_numbers.choice(living).kill()
        return bool(living)

    def replace_the_dead(self) -> None:
        """One for each that was killed or failed; those that found nothing more to do stay away."""
        for process in [process for process in self._processes if not process.is_alive()]:
            process.join()
            self._processes.remove(process)
            if process.exitcode == 0:
                continue
            self.failed += process.exitcode != -signal.SIGKILL
            self.start()

    def idle(self) -> bool:
        return not self._processes

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


def _work(url: str, grace: float, seconds: float) -> None:
    def make(study: Study, spec: Spec, root: Path, hooks: Hooks) -> Sleeper:
        return Sleeper(root, hooks, seconds)

    def worker() -> Worker:
        return Worker(url, NAME, Path(), label=str(os.getpid()), grace=grace, make_objective=make)

    repeat(worker, lambda: False).work()  # a new one may begin while the server is away, as a supervisor's does


def main() -> int:
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="phashopt-chaos-")))
        os.environ["PHASHOPT_ARTIFACTS"] = str(folder / "artifacts")
        server = stack.enter_context(Postgres()) if options.storage == "postgresql" else None
        url = server.new_database() if server else f"{options.storage}:///{folder / 'studies.db'}"
        create_study(url, _spec(options.trials), folder)
        herd = Herd(url, options.grace, options.seconds)
        stack.callback(herd.end)
        started = time.monotonic()
        herd.start(options.workers)
        _make_trouble(options, herd, server)
        while not herd.idle() and time.monotonic() - started < LONGEST:
            herd.replace_the_dead()
            time.sleep(0.1)
        took = time.monotonic() - started
        study = open_plain(open_storage(url), NAME)
        findings = [*_findings(study, options.trials, artifact_root(url)), *check_study(study, artifact_root(url))]
        findings += [f"{herd.failed} workers ended in an error"] * bool(herd.failed)
        _report(options, study, took)
    for line in findings:
        print(f"WRONG: {line}")
    return bool(findings)


def _make_trouble(options: argparse.Namespace, herd: Herd, server: Postgres | None) -> None:
    """Kills and outages in random order, at random moments."""
    random_numbers = random.Random(options.seed)
    troubles = ["kill"] * options.kills + ["outage"] * (options.outages if server else 0)
    random_numbers.shuffle(troubles)
    for trouble in troubles:
        time.sleep(random_numbers.uniform(0, 2 * options.pause))
        if trouble == "outage" and server is not None:
            server.stop_for(options.outage_seconds)
        elif not herd.kill(random_numbers):
            break
        herd.replace_the_dead()


def _findings(study: Study, budget: int, root: Path) -> Iterator[str]:
    trials = study.get_trials(deepcopy=False)
    if len(trials) != budget:
        yield f"{len(trials)} trials were made of a budget of {budget}"
    for trial in trials:
        if trial.state.name not in FINISHED:
            yield f"trial {trial.number} is {trial.state.name} at the end"
        if trial.state.name == "FAIL" and "error.message" not in trial.user_attrs:
            yield f"trial {trial.number} failed without a reason"
        if _overlap(trial_folder(root, NAME, trial.number)):
            yield f"trial {trial.number} was run by two workers at once"


def _overlap(folder: Path) -> bool:
    """Whether a worker was still at a trial when the next one had begun: by the clock that all processes share."""
    spans = []
    for diary in folder.glob("diary-*"):
        times = [float(line.split()[1]) for line in diary.read_text().splitlines() if len(line.split()) == 2]
        spans += [(min(times), max(times))] if times else []
    spans.sort()
    return any(last > first for (_, last), (first, _) in itertools.pairwise(spans))


def _report(options: argparse.Namespace, study: Study, took: float) -> None:
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state.name for trial in trials)
    attempts = Counter(int(trial.user_attrs.get("attempt", 0)) for trial in trials)
    print(f"{options.storage}, seed {options.seed}: {options.workers} workers, {options.kills} kills, {took:.0f} s")
    print("states:   " + ", ".join(f"{count} {state}" for state, count in sorted(states.items())))
    print("attempts: " + ", ".join(f"{count} trials took {number}" for number, count in sorted(attempts.items())))


def _spec(trials: int) -> Spec:
    document = {
        "study": {"name": NAME, "trials": trials},
        "data": {"dataset": "digits", "limit": 300},
        "network": {"kernel_size": 3, "widths": {"low": 2, "high": 8}, "baseline": [4, 6]},
        "training": {"epochs": STEPS, "learning_rate": {"low": 0.01, "high": 0.1, "log": True}},
        "search": {"sampler": "RandomSampler", "pruner": "NopPruner"},
    }
    return parse_spec(document, "chaos")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--storage", choices=KINDS, default="postgresql")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--outages", type=int, default=2)
    parser.add_argument("--outage-seconds", type=float, default=20.0)
    parser.add_argument(
        "--seconds",
        type=float,
        default=15.0,
        help="a trial takes; when short, kills meet waiting workers",
    )
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two troubles, on average")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds after which a dead worker's trial is taken")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
