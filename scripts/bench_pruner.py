"""What each verdict of the pruner is worth: every training it would touch, as it was and as the verdict has it.

`python scripts/bench_pruner.py --data-dir DIR` trains random configurations to their end, shows the pruner each of them
epoch by epoch with all others as its finished peers, and trains those again that it would finish early, extend or
restart. What it would stop is judged by where it ended. Accuracies are on validation images, compute is training MACs,
readings included. The tables go to studies/results/PRUNER.md and PRUNER.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState, create_trial
from results import Row, percent, publish
from scipy import stats

from phashopt.networks import Plain
from phashopt.search import PHashPruner, Verdict
from phashopt.signal import Probe
from phashopt.trace import Trace, write_trace
from phashopt.training.data import Augmentation, DataSet, choose_probes, load_raw, prepare
from phashopt.training.loop import Diverged
from phashopt.training.recipe import Recipe
from phashopt.training.run import Outcome, Run
from phashopt.training.schedule import Schedule

SPACE: dict[str, BaseDistribution] = {
    **{f"width_{layer:02d}": IntDistribution(4, 32, log=True) for layer in range(3)},
    "epochs": IntDistribution(4, 24),
    "learning_rate": FloatDistribution(0.003, 1.0, log=True),
}
LONGEST = 24
CONFIDENCE = 0.9

Judge = Callable[[Trace], Verdict]


@dataclass(frozen=True)
class Training:
    """One configuration trained to its end; accuracy 0 and nothing else where it diverged."""

    number: int
    params: dict[str, Any]
    outcome: Outcome | None

    @property
    def accuracy(self) -> float:
        """On validation images."""
        return self.outcome.accuracy if self.outcome else 0.0


def main() -> None:
    """Train, ask, train again, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--data", action="append", help="digits, fashion_mnist, ...; repeat for more")
    parser.add_argument("--trainings", type=int, default=60)
    parser.add_argument("--images", type=int, default=2000)
    settings = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.perf_counter()
    tables = {}
    for name in settings.data or ["digits"]:
        raw = load_raw(name, settings.data_dir)
        data = prepare(raw, validation=0.4, limit=settings.images, seed=0, device=torch.device("cpu"))
        tables[f"{name}, {len(data.train)} training images, {settings.trainings} configurations"] = Bench(
            data, settings.trainings
        ).rows()
    publish("PRUNER", "What each verdict is worth", tables, ("torch", "optuna"), started)


class Bench:
    """All trainings on one data set."""

    def __init__(self, data: DataSet, trainings: int) -> None:
        self._data = data
        self._folders = count()
        self._home = Path(tempfile.mkdtemp())
        study = optuna.create_study(sampler=RandomSampler(seed=0))
        self._trainings = [self._to_the_end(number, study.ask(SPACE).params) for number in range(trainings)]

    def rows(self) -> list[Row]:
        """One a verdict."""
        whole = sum(training.outcome.train_macs for training in self._trainings if training.outcome)
        return [
            self._stopped(whole),
            *(self._changed(verdict, whole) for verdict in (Verdict.FINISH, Verdict.EXTEND, Verdict.RESTART)),
        ]

    def _to_the_end(self, number: int, params: dict[str, Any]) -> Training:
        try:
            outcome = self._run(number, params).train()
        except Diverged:
            outcome = None
        training = Training(number, params, outcome)
        print(number, params, f"{training.accuracy:.3f}", flush=True)
        return training

    def _run(self, number: int, params: dict[str, Any], judge: Judge = lambda _: Verdict.CONTINUE) -> Run:
        plan = Plain(kernel_size=3).plan(
            [value for name, value in params.items() if name.startswith("width")],
            self._data.shape,
            len(self._data.classes),
        )
        train = self._data.train
        return Run(
            plan,
            Recipe(epochs=params["epochs"], learning_rate=params["learning_rate"], augmentation=Augmentation(shift=1)),
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
            if other.number != training.number and other.outcome:
                attrs = {"trace": other.outcome.trace.to_json()}
                study.add_trial(
                    create_trial(value=other.accuracy, params=other.params, distributions=SPACE, system_attrs=attrs)
                )
        study.enqueue_trial(training.params)
        trial = study.ask(SPACE)
        pruner = PHashPruner(without=[each for each in Verdict if each not in (verdict, Verdict.CONTINUE)])
        due = Schedule.of_length(training.params["epochs"]).decay_start
        assert training.outcome
        for epoch in range(1, training.outcome.epochs_used + 1):
            write_trace(trial, Trace(training.outcome.trace.epochs[:epoch]))
            said = pruner.verdict(study, study.trials[-1]) is verdict
            if said and (verdict is not Verdict.EXTEND or epoch == due):
                return epoch
        study.tell(trial, state=TrialState.FAIL)
        return None

    def _touched(self, verdict: Verdict) -> list[tuple[Training, int]]:
        asked = [(training, self._asked(training, verdict)) for training in self._trainings if training.outcome]
        return [(training, epoch) for training, epoch in asked if epoch is not None]

    def _stopped(self, whole: int) -> Row:
        touched = self._touched(Verdict.STOP)
        saved = sum(
            training.outcome.train_macs * (1 - epoch / training.outcome.epochs_used)
            for training, epoch in touched
            if training.outcome
        )
        ends = sorted(training.accuracy for training in self._trainings if training.outcome)
        most = max((training.accuracy for training, _ in touched), default=0.0)
        return {
            "verdict": Verdict.STOP.value,
            "given": f"{len(touched)} of {len(ends)}",
            "at epoch": _mean(epoch for _, epoch in touched),
            "accuracy without": _mean_share([training.accuracy for training, _ in touched]),
            "accuracy with": f"best stopped: rank {1 + sum(end > most for end in ends)}" if touched else "",
            "gain in points": "",
            "compute, share of all": f"{-saved / whole:+.1%}",
        }

    def _changed(self, verdict: Verdict, whole: int) -> Row:
        before, after, paid, epochs = [], [], 0, []
        for training, epoch in self._touched(verdict):
            due = epoch

            def judge(trace: Trace, due: int = due) -> Verdict:
                return verdict if trace.epochs[-1].number == due else Verdict.CONTINUE

            again = self._run(training.number, training.params, judge).train()
            assert training.outcome
            before.append(training.accuracy)
            after.append(again.accuracy)
            paid += again.train_macs - training.outcome.train_macs
            epochs.append(epoch)
        return {
            "verdict": verdict.value,
            "given": f"{len(before)} of {sum(training.outcome is not None for training in self._trainings)}",
            "at epoch": _mean(epochs),
            "accuracy without": _mean_share(before),
            "accuracy with": _mean_share(after),
            "gain in points": _interval([new - old for new, old in zip(after, before, strict=True)]),
            "compute, share of all": f"{paid / whole:+.1%}",
        }


def _mean(values: Any) -> str:
    listed = list(values)
    return f"{mean(listed):.1f}" if listed else ""


def _mean_share(values: list[float]) -> str:
    return percent(mean(values)) if values else ""


def _interval(differences: list[float]) -> str:
    """Points, and the half width of the 90% interval of their mean."""
    if len(differences) < 2:
        return " ".join(f"{100 * each:+.2f}" for each in differences)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1) * stdev(differences) / len(differences) ** 0.5
    return f"{100 * mean(differences):+.2f} +- {100 * half:.2f}"


if __name__ == "__main__":
    main()
