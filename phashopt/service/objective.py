"""One trial of a study: parameters in, a trained network out, and everything about it in the database."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from optuna import Study, Trial
from optuna.trial import FrozenTrial

from phashopt.plans import Blueprint
from phashopt.search import PLANNED_KEY, STABLE_KEY, USED_KEY, PHashPruner, Start, Verdict, lengthened
from phashopt.service.events import Progress
from phashopt.service.images import probe_indices
from phashopt.service.origin import OrphanError, extended, origin, orphaned
from phashopt.service.publish import Trained, upload_pictures
from phashopt.service.ranges import ends
from phashopt.service.spec import Spec
from phashopt.service.storage import trial_folder
from phashopt.signal import Probe
from phashopt.trace import Trace, write_trace
from phashopt.training.data import DataSet, sample
from phashopt.training.files import CHECKPOINT
from phashopt.training.loop import Diverged
from phashopt.training.run import Outcome, Run
from phashopt.training.snapshot import take_snapshot
from phashopt.training.weights import save_weights

logger = logging.getLogger("phashopt")

CALIBRATION_IMAGES = 1024  # training images that batch norm is recalibrated on before a reading


@dataclass(frozen=True)
class Result:
    """What a worker tells of a trial: accuracy in [0, 1], and whether the pruner stopped it."""

    accuracy: float
    stopped: bool
    epochs_used: int


@dataclass(frozen=True)
class Hooks:
    """What a trial under way needs of its worker: `interrupted` is asked often, `notify` told after every epoch.

    `ended` is told of a training before its trial is; by default the trial's pictures are drawn.
    """

    interrupted: Callable[[], bool]
    notify: Callable[[Progress], None]
    ended: Callable[[Trial, Run, Outcome], None] | None = None


class Objective:
    """Trains what a trial asks for. Big things go to the trial's folder, plain numbers to the database."""

    def __init__(
        self,
        study: Study,
        spec: Spec,
        data: DataSet,
        root: Path,
        hooks: Hooks,
    ) -> None:
        self._study = study
        self._spec = spec
        self._data = data
        self._root = root
        self._hooks = hooks
        self._probes = probe_indices(spec, data)

    def __call__(self, trial: Trial) -> Result:
        """Train the network of `trial` to its end, going on from its checkpoint if it has one.

        Raises `Interrupted` and `Diverged` as the training does.
        """
        widths = self._spec.widths(trial.params)
        blueprint = self._spec.blueprint(widths, self._data.shape, len(self._data.classes))
        self._constrain(trial, blueprint)
        run = self._resumed(trial, blueprint)
        try:
            outcome = run.train()
        except OrphanError as error:  # it was to start again with its parent's kernels
            self._give_up_parent(trial, error)
            run.discard_checkpoint()
            return self(trial)
        except Diverged:
            trial.set_user_attr("train_macs", run.train_macs)
            trial.set_user_attr("reading_macs", run.reading_macs)
            write_trace(trial, run.trace)
            raise
        self._leave_weights(run, widths)
        for key, value in self._attributes(trial, run, outcome).items():
            trial.set_user_attr(key, value)
        (self._hooks.ended or self._leave_pictures)(trial, run, outcome)
        return Result(outcome.accuracy, outcome.stopped, outcome.epochs_used)

    def _resumed(self, trial: Trial, blueprint: Blueprint) -> Run:
        """The trial's training where its checkpoint left it, else where the one it extends did, else from its start.

        A file that cannot be read is as good as none.
        """
        extends = extended(self._study, self._stored(trial), self._root)
        while True:
            run = self._begun(trial, blueprint, extends)
            source = run.saved
            try:
                run.resume()
            except (ValueError, RuntimeError) as error:
                logger.warning("Trial %d starts afresh: %s.", trial.number, str(error).splitlines()[0])
                run.discard_checkpoint()
                extends = None if source == extends else extends
            else:
                if source is None and not Start.read(self._stored(trial).system_attrs):
                    orphaned(trial)
                return run

    def _begun(self, trial: Trial, blueprint: Blueprint, extends: Path | None) -> Run:
        try:
            return self._run(trial, blueprint, extends)
        except OrphanError as error:
            self._give_up_parent(trial, error)
            return self._run(trial, blueprint, extends)

    def _give_up_parent(self, trial: Trial, error: OrphanError) -> None:
        logger.warning("Trial %d starts from scratch: %s.", trial.number, error)
        orphaned(trial)

    def _run(self, trial: Trial, blueprint: Blueprint, extends: Path | None) -> Run:
        stored = self._stored(trial)
        run = Run(
            blueprint,
            self._spec.recipe(lengthened(stored, trial.params), self._data.mirrored),
            self._data,
            make_probe(self._data, self._probes, blueprint),
            folder=trial_folder(self._root, self._study.study_name, trial.number),
            seed=trial_seed(self._spec.study.seed, trial.number),
            every=self._spec.signal.every,
            longest=max(ends(self._spec.training.epochs)),
            origin=origin(self._study, stored, self._spec, self._data, self._root),
            extends=extends,
            judge=lambda trace: self._judge(trial, run, trace),
            interrupted=self._hooks.interrupted,
        )
        return run

    def _constrain(self, trial: Trial, blueprint: Blueprint) -> None:
        """Say before training whether the network may be chosen: a constraint <= 0 is kept."""
        known = self._stored(trial).constraints
        for name, cap in self._spec.limits.caps.items():
            if name not in known:
                trial.set_constraint(name, getattr(blueprint.cost, name) - cap)

    def _judge(self, trial: Trial, run: Run, trace: Trace) -> Verdict:
        """Write down what the last epoch showed, then ask the pruner."""
        row = trace.epochs[-1]
        write_trace(trial, trace)
        trial.set_user_attr("train_macs", run.train_macs)  # what runs, or is lost, counts in the study's budget too
        # not `trial.report`: a resumed epoch was reported before, and after a restart another course is the trial's
        self._study._storage.set_trial_intermediate_value(trial._trial_id, row.number, row.accuracy)
        planned, speed = run.trainer.schedule.epochs, run.images_per_second
        self._hooks.notify(
            Progress(
                trial.number,
                row.number,
                planned,
                row.accuracy,
                mean_reading(trace, "redundancy"),
                speed,
                (planned - row.number) * len(self._data.train) / speed,
            )
        )
        pruner, stored = self._study.pruner, self._stored(trial)
        if isinstance(pruner, PHashPruner):
            return pruner.verdict(self._study, stored)
        # not `trial.should_prune`: what was not reported through the trial it does not know
        return Verdict.STOP if pruner.prune(self._study, stored) else Verdict.CONTINUE

    def _stored(self, trial: Trial) -> FrozenTrial:
        return self._study._storage.get_trial(trial._trial_id)

    def _leave_weights(self, run: Run, widths: list[int]) -> None:
        description = {
            "network": self._spec.network.model_dump(mode="json", exclude={"widths", "baseline"}),
            "widths": widths,
            "image": list(self._data.shape),
            "classes": list(self._data.classes),
            "standardisation": vars(self._data.train.standardisation),
        }
        save_weights(run.folder, run.trainer.network, description)

    def _leave_pictures(self, trial: Trial, run: Run, outcome: Outcome) -> None:
        readouts = run.blueprint.readouts
        snapshot = take_snapshot(run.trainer.network, self._data.train, int(self._probes[0]), outcome.report, readouts)
        snapshot.save(run.folder)
        upload_pictures(trial, Trained(outcome, snapshot, readouts), self._root)

    def _attributes(self, trial: Trial, run: Run, outcome: Outcome) -> dict[str, Any]:
        """The scalars that the dashboard sorts and plots (docs/study.md)."""
        cost = run.blueprint.cost
        attributes: dict[str, Any] = {
            "kernels": "-".join(map(str, self._spec.widths(trial.params))),
            "macs": cost.macs,
            "params": cost.params,
            USED_KEY: outcome.epochs_used,
            PLANNED_KEY: run.trainer.schedule.epochs if outcome.stopped else None,
            "images_seen": outcome.images_seen,
            "train_macs": outcome.train_macs,
            "train_seconds": round(outcome.clock.train_seconds, 3),
            "signal_seconds": round(outcome.clock.signal_seconds, 3),
            "feasible": all(constraint <= 0 for constraint in self._stored(trial).constraints.values()),
            STABLE_KEY: outcome.stable_epochs,
            "restarts": outcome.clock.restarts,
            "device": device_name(self._data.train.device),
            "redundancy.mean": mean_reading(outcome.trace, "redundancy"),
            "duplicates.mean": mean_reading(outcome.trace, "duplicates"),
        }
        for layer, name in run.blueprint.readouts.items():
            report = outcome.report[layer]
            attributes |= {
                f"redundancy.{name}": report.redundancy,
                f"duplicates.{name}": report.duplicate_rate,
                f"dead.{name}": report.dead,
                f"distinct.{name}": report.distinct,
            }
        return {key: value for key, value in attributes.items() if value is not None and not _is_nan(value)}


def discard_checkpoint(study: Study, trial: Trial, root: Path) -> None:
    """Once a trial's end is told: until then whoever takes it up again need not train it again."""
    (trial_folder(root, study.study_name, trial.number) / CHECKPOINT).unlink(missing_ok=True)


def make_probe(data: DataSet, indices: torch.Tensor, blueprint: Blueprint) -> Probe:
    """The training images `indices` (N,), to read networks of `blueprint` through."""
    train = data.train
    return Probe(
        train.standardise(train.pixels[indices]),
        widths=blueprint.readouts,
        std=train.standardisation.std,
        calibration=train.standardise(sample(train, CALIBRATION_IMAGES)),
    )


def mean_reading(trace: Trace, quantity: str) -> float:
    """The mean over layers of one number at the last epoch that was read; NaN before the first reading."""
    values = [getattr(reading, quantity) for reading in trace.last_readings.values()]
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def trial_seed(study_seed: int, number: int) -> int:
    """Weights, data order and augmentation of trial `number`: the same wherever and however often it is trained."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0])


def device_name(device: torch.device) -> str:
    """As a person knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
