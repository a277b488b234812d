"""What each verdict of the pruner is worth: every training it would touch, as it was and as the verdict has it.

`python scripts/bench_pruner.py --data-dir DIR` trains random configurations to their end, shows the pruner each of them
epoch by epoch with all others as its finished peers, and trains those again that it would finish early, extend or
restart. What it would stop is judged by where it ended. Every finished training is kept in --log, so that an
interrupted run goes on where it was; the tables go to studies/results/PRUNER.md and PRUNER.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import create_trial
from results import Ledger, Row, percent, publish
from scipy import stats
from subsets import subset

from phashopt.plans import Plain
from phashopt.search import PHashPruner, Verdict
from phashopt.signal import Probe
from phashopt.trace import Trace, write_trace
from phashopt.training.data import DataSet, choose_probes
from phashopt.training.loop import Diverged
from phashopt.training.recipe import Augmentation, Recipe
from phashopt.training.run import Run
from phashopt.training.schedule import Schedule

SPACE: dict[str, BaseDistribution] = {
    **{f"width_{layer:02d}": IntDistribution(4, 32, log=True) for layer in range(3)},
    "epochs": IntDistribution(4, 24),
    "learning_rate": FloatDistribution(0.003, 1.0, log=True),
}
LONGEST = 24
SETS = ("digits", "mnist", "fashion_mnist")
CONFIDENCE = 0.9

Judge = Callable[[Trace], Verdict]

NOTES = """
## How to read this

- Random widths, lengths and rates, trained to their end: `without`. Each is then shown to the pruner, which knows all
  others of its table as finished and may say nothing but the verdict of the row: `given` says to how many it did.
  Those are trained again from the same seed with that verdict at that epoch: `with`.
- Images are 14 x 14 (digits 8 x 8); accuracy is on validation images, 40% of all. Gains are means over those that the
  verdict went to, with their 90% interval.
- Compute is in training MACs, readings included, as a share of what all trainings of the table took; of a restart the
  epochs before it are in it. A training that diverged once it was trained again counts as one that guesses and as dear
  as before; those that diverge by themselves are left out.
- `restart in place of stop`: what would be stopped, started again from another seed at that epoch; its compute, too, is
  beside trainings that are let go on, so that beside stopping it costs what that saves as well. `best of them` is the
  highest accuracy with the verdict (of those stopped: without it), and its place among all trainings without any.
"""


@dataclass(frozen=True)
class Training:
    """One configuration trained to its end, as it is kept in the log."""

    number: int
    params: dict[str, Any]
    trace: Trace
    accuracy: float
    macs: int

    @property
    def epochs(self) -> int:
        """How long it was trained."""
        return len(self.trace.epochs)


def main() -> None:
    """Train, ask, train again, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--data", action="append", help=f"repeat for more (default: {', '.join(SETS)})")
    parser.add_argument("--log", type=Path, default=Path("pruner.jsonl"))
    parser.add_argument("--trainings", type=int, default=200, help="random configurations of each")
    parser.add_argument("--images", type=int, default=2000)
    settings = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.perf_counter()
    tables = {}
    log = Ledger(settings.log)
    for name in settings.data or SETS:
        data = subset(settings.data_dir, name, settings.images, 0.4)
        bench = Bench(name, data, settings.trainings, log)
        tables[f"{name}, {len(data.train)} training images, {settings.trainings} configurations"] = bench.rows()
    publish("PRUNER", "What each verdict is worth", tables, ("torch", "optuna"), started, notes=NOTES)


class Bench:
    """All trainings on one data set."""

    def __init__(self, name: str, data: DataSet, trainings: int, log: Ledger) -> None:
        self._name = name
        self._data = data
        self._log = log
        self._folders = count()
        self._home = Path(tempfile.mkdtemp())
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        for number in range(trainings):
            params = study.ask(SPACE).params
            self._to_the_end(number, params)
        lines = [line for line in log.lines if line["data"] == name and line["verdict"] is None and line["trace"]]
        self._trainings = [_training(line) for line in lines]
        self._whole = sum(training.macs for training in self._trainings)

    def rows(self) -> list[Row]:
        """One a verdict."""
        return [
            self._stopped(),
            *(self._changed(verdict, verdict) for verdict in (Verdict.FINISH, Verdict.EXTEND, Verdict.RESTART)),
            self._changed(Verdict.STOP, Verdict.RESTART),
        ]

    def _to_the_end(self, number: int, params: dict[str, Any], verdict: Verdict | None = None, epoch: int = 0) -> Row:
        """The log's line of a training with `verdict` at `epoch`; its trace is None if it diverged."""
        key = {"data": self._name, "number": number, "verdict": verdict and verdict.value, "epoch": epoch}
        if not self._log.has(**key):
            judge = _at(epoch, verdict) if verdict else lambda _: Verdict.CONTINUE
            self._log.add({**key, "params": params, **_ended(self._run(number, params, judge))})
        return next(line for line in self._log.lines if key.items() <= line.items())

    def _again(self, training: Training, verdict: Verdict, epoch: int) -> tuple[float, float]:
        """Accuracy and MACs with it."""
        line = self._to_the_end(training.number, training.params, verdict, epoch)
        return (line["accuracy"], line["macs"]) if line["trace"] else (1 / len(self._data.classes), training.macs)

    def _run(self, number: int, params: dict[str, Any], judge: Judge) -> Run:
        widths = [value for name, value in params.items() if name.startswith("width")]
        plan = Plain(kernel_size=3).plan(widths, self._data.shape, len(self._data.classes))
        train = self._data.train
        return Run(
            plan,
            Recipe(
                epochs=params["epochs"],
                learning_rate=params["learning_rate"],
                augmentation=Augmentation(shift=1, mirror=self._data.mirrored),
            ),
            self._data,
            Probe(train.standardise(train.pixels[choose_probes(train, 8, 0)]), widths=plan.readouts),
            folder=self._home / str(next(self._folders)),
            seed=number,
            longest=LONGEST,
            judge=judge,
        )

    def _asked(self, training: Training, verdict: Verdict) -> int | None:
        """The first epoch at which the pruner, allowed nothing else, says so; None if it never does."""
        study = optuna.create_study(direction="maximize", sampler=RandomSampler(seed=0))
        for other in self._trainings:
            if other is not training:
                attrs = {"trace": other.trace.to_json()}
                study.add_trial(
                    create_trial(value=other.accuracy, params=other.params, distributions=SPACE, system_attrs=attrs)
                )
        study.enqueue_trial(training.params)
        trial = study.ask(SPACE)
        pruner = PHashPruner(without=[each for each in Verdict if each not in (verdict, Verdict.CONTINUE)])
        running = study.get_trials(deepcopy=False)[-1]
        due = Schedule.of_length(training.params["epochs"]).decay_start
        for epoch in range(1, training.epochs + 1):
            write_trace(trial, Trace(training.trace.epochs[:epoch]))
            said = pruner.verdict(study, running) is verdict
            if said and (verdict is not Verdict.EXTEND or epoch == due):
                return epoch
        return None

    def _touched(self, verdict: Verdict) -> list[tuple[Training, int]]:
        asked = [(training, self._asked(training, verdict)) for training in self._trainings]
        return [(training, epoch) for training, epoch in asked if epoch is not None]

    def _stopped(self) -> Row:
        touched = self._touched(Verdict.STOP)
        saved = sum(training.macs * (1 - epoch / training.epochs) for training, epoch in touched)
        best = self._best(training.accuracy for training, _ in touched)
        return self._row(Verdict.STOP.value, touched, -saved) | {"best of them": best}

    def _changed(self, said: Verdict, verdict: Verdict) -> Row:
        """Those to which the pruner, allowed nothing else, says the one, trained again with the other."""
        touched = self._touched(said)
        again = [self._again(training, verdict, epoch) for training, epoch in touched]
        gains = [accuracy - training.accuracy for (accuracy, _), (training, _) in zip(again, touched, strict=True)]
        paid = sum(macs for _, macs in again) - sum(training.macs for training, _ in touched)
        name = verdict.value if said is verdict else f"{verdict.value} in place of {said.value}"
        return self._row(name, touched, paid) | {
            "accuracy with": percent(mean(accuracy for accuracy, _ in again)) if again else "",
            "best of them": self._best(accuracy for accuracy, _ in again),
            "gain in points": _interval(gains),
        }

    def _best(self, accuracies: Iterable[float]) -> str:
        """The highest, and its place among all trainings as they were."""
        best = max(accuracies, default=None)
        if best is None:
            return ""
        rank = 1 + sum(training.accuracy > best for training in self._trainings)
        return f"{percent(best)}, place {rank} of {len(self._trainings)}"

    def _row(self, name: str, touched: list[tuple[Training, int]], paid: float) -> Row:
        return {
            "verdict": name,
            "given": f"{len(touched)} of {len(self._trainings)}",
            "at epoch": f"{mean(epoch for _, epoch in touched):.1f}" if touched else "",
            "accuracy without": percent(mean(training.accuracy for training, _ in touched)) if touched else "",
            "accuracy with": "",
            "best of them": "",
            "gain in points": "",
            "compute, share of all": f"{paid / self._whole:+.1%}",
        }


def _ended(run: Run) -> Row:
    try:
        outcome = run.train()
    except Diverged:
        return {"trace": None}
    return {"trace": outcome.trace.to_json(), "accuracy": outcome.accuracy, "macs": outcome.train_macs}


def _training(line: Row) -> Training:
    return Training(line["number"], line["params"], Trace.from_json(line["trace"]), line["accuracy"], line["macs"])


def _at(epoch: int, verdict: Verdict) -> Judge:
    return lambda trace: verdict if trace.epochs[-1].number == epoch else Verdict.CONTINUE


def _interval(differences: list[float]) -> str:
    """Points, and the half width of the 90% interval of their mean."""
    if len(differences) < 2:
        return " ".join(f"{100 * each:+.2f}" for each in differences)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return f"{100 * mean(differences):+.2f} +- {100 * half:.2f}"


if __name__ == "__main__":
    main()
