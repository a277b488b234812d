"""One network trained at every length of a table, each epoch read in full.

A shorter training is the longer one up to where it begins to decay (`training.schedule`): it is trained from its
beginning once, and each longer one goes on from where the last left its stable phase, as an extended trial does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from phashopt.bench.frame import READING_MACS
from phashopt.bench.rivals import rival_signals
from phashopt.bench.task import Params, RecordTask, widths_of
from phashopt.errors import NotFiniteError
from phashopt.networks import build
from phashopt.plans import Blueprint
from phashopt.search.space import LENGTH
from phashopt.service.images import probe_indices
from phashopt.service.objective import CALIBRATION_IMAGES, make_probe
from phashopt.signal import Probe
from phashopt.trace import READING_FIELDS, Trace
from phashopt.training.checkpoint import Clock, load_checkpoint, save_checkpoint
from phashopt.training.data import DataSet
from phashopt.training.loop import Diverged, Trainer, evaluate

Row = dict[str, Any]

LENGTH_COLUMN = "length"


class Recorder:
    """Trains what a task asks for on `data`; the weights of a training depend on its seed and configuration alone."""

    def __init__(self, task: RecordTask, data: DataSet) -> None:
        self._task = task
        self._data = data
        self._probes = probe_indices(task, data)

    def record(self, config: int, params: Params, seed: int) -> list[Row]:
        """One row an epoch and length, without the columns that are the same in all of them."""
        drawn = int(np.random.SeedSequence([self._task.study.seed, seed, config]).generate_state(1)[0])
        blueprint = self._task.blueprint(widths_of(params, self._task), self._data.shape, len(self._data.classes))
        probe = make_probe(self._data, self._probes, blueprint)
        shared: list[Row] = []
        recorded: list[Row] = []
        with TemporaryDirectory() as folder:
            stable = Path(folder) / "stable.safetensors"
            for length in self._task.record.lengths:
                recipe = self._task.recipe({**params, LENGTH: length}, self._data.mirrored)
                trainer = Trainer(build(blueprint, drawn), recipe, self._data.train, drawn)
                if stable.exists():
                    load_checkpoint(stable, trainer)
                rows = list(shared)
                for row in self._rows(trainer, blueprint, probe):
                    rows.append(row)
                    if trainer.epoch == trainer.schedule.decay_start and math.isfinite(row["train_loss"]):
                        save_checkpoint(stable, trainer, Trace(), Clock())
                        shared = list(rows)
                recorded += [{LENGTH_COLUMN: length, **row} for row in rows]
        return recorded

    def _rows(self, trainer: Trainer, blueprint: Blueprint, probe: Probe) -> Iterator[Row]:
        """The epochs still to come; the last one is empty where the training diverges."""
        while not trainer.finished:
            try:
                loss = trainer.train_epoch()
                score = evaluate(trainer.network, self._data.validation)
                if not math.isfinite(score.loss):
                    raise Diverged(trainer.epoch, trainer.recipe.learning_rate)
            except Diverged:
                yield self._row(trainer, blueprint, math.nan, math.nan) | self._unread(blueprint)
                return
            yield self._row(trainer, blueprint, loss, score.accuracy) | self._read(trainer.network, blueprint, probe)

    def _row(self, trainer: Trainer, blueprint: Blueprint, loss: float, accuracy: float) -> Row:
        return {
            "epoch": trainer.epoch,
            "train_loss": loss,
            "val_accuracy": accuracy,
            "train_macs": 3 * blueprint.cost.macs * trainer.images_seen,
        }

    def _read(self, network: nn.Module, blueprint: Blueprint, probe: Probe) -> Row:
        """The full reading and its rivals; a network that overflows in between cannot be read."""
        train = self._data.train
        try:
            report = probe.measure(network)
        except NotFiniteError:
            return self._unread(blueprint)
        readings = {
            f"{field}.{name}": getattr(reading, field)
            for name, reading in report.readings(blueprint.readouts).items()
            for field in READING_FIELDS
        }
        return readings | rival_signals(network, train.standardise(train.pixels[self._probes]), blueprint.readouts)

    def _unread(self, blueprint: Blueprint) -> Row:
        return {f"{field}.{name}": math.nan for name in blueprint.readouts.values() for field in READING_FIELDS}

    def constants(self, params: Params) -> Row:
        """The columns that are the same in every row of a configuration."""
        blueprint = self._task.blueprint(widths_of(params, self._task), self._data.shape, len(self._data.classes))
        calibration = min(CALIBRATION_IMAGES, len(self._data.train))
        cost, reading = blueprint.cost, blueprint.reading_macs(len(self._probes), calibration=calibration)
        return {**params, "macs": cost.macs, "params": cost.params, READING_MACS: reading}
