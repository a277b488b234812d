"""A recorded table in memory: configurations, and what each did with each seed (docs/study.md)."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from phashopt.bench.frame import READING_MACS, parameters_of, read_frame, widths_of
from phashopt.bench.task import RecordTask
from phashopt.errors import UserError
from phashopt.search.space import LENGTH, RATE
from phashopt.trace import READING_FIELDS, Epoch, Reading, Trace
from phashopt.training.schedule import Schedule

Params = Mapping[str, Any]  # true kernel counts, the length as `epochs`


@dataclass(frozen=True)
class Training:
    """What a configuration did with one seed: its trace, and the MACs paid up to each epoch."""

    trace: Trace
    macs: Sequence[float]

    @property
    def accuracy(self) -> float:
        """At its end; NaN if it diverged."""
        return self.trace.epochs[-1].accuracy


@dataclass(frozen=True)
class Table:
    """Configurations that were trained with every seed; `costs` are the MACs of one image, `reading` of one reading.

    `left_out` others were not, or not to their end.
    """

    configs: Sequence[Params]
    costs: Sequence[float]
    reading: Sequence[float]
    trainings: Mapping[tuple[int, int], Training]  # by place in `configs` and seed
    seeds: Sequence[int]  # that searches run on
    held_out: int  # that judges them
    left_out: int = 0

    @property
    def widths(self) -> list[str]:
        """The width parameters, first layer first."""
        return widths_of(list(self.configs[0]))

    @cached_property
    def places(self) -> dict[Hashable, int]:
        """From a configuration's values to its place."""
        return {key(params): place for place, params in enumerate(self.configs)}

    def shared_epochs(self, place: int, longer: int, seed: int) -> int:
        """How many epochs two trainings have in common: that many need not be paid twice."""
        pairs = zip(self.trainings[place, seed].trace.epochs, self.trainings[longer, seed].trace.epochs, strict=False)
        shared = 0
        for one, other in pairs:
            if (one.loss, one.accuracy) != (other.loss, other.accuracy):
                break
            shared += 1
        return shared


def key(params: Params) -> Hashable:
    """What makes two configurations the same one."""
    return tuple(sorted(params.items()))


def read_table(path: Path) -> Table:
    """Any table in the schema; raises `UserError` where it is none, or has one seed only, or one network twice."""
    frame, metadata = read_frame(path)
    parameters = parameters_of(frame, _searched(metadata), path)
    table = _table(frame, parameters, _held_out(frame, metadata, path))
    if not table.configs:
        raise UserError(f"{path} has no configuration that was trained to its end with every seed")
    for place, params in enumerate(table.configs):
        if table.places[key(params)] != place:
            raise UserError(
                f"{path} has one configuration under two numbers: {_in_words(params)}; leave one of them out"
            )
    return table


def _searched(metadata: Mapping[bytes, bytes]) -> Collection[str] | None:
    """The parameters of the task it was recorded of; None where that is not told."""
    try:
        return RecordTask.model_validate_json(metadata[b"spec"]).space.keys()
    except (KeyError, ValueError):  # of somebody else
        return None


def _in_words(params: Params) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items())


def _held_out(frame: pd.DataFrame, metadata: Mapping[bytes, bytes], path: Path) -> int:
    """The seed that the task set aside, else the last one."""
    seeds = sorted(int(seed) for seed in frame["seed"].unique())
    if len(seeds) < 2:
        raise UserError(f"{path} holds one seed only: searches run on one and are judged by another")
    try:
        told = json.loads(metadata.get(b"spec", b"{}"))["record"]["held_out"]
    except (KeyError, TypeError, ValueError):  # of somebody else
        told = seeds[-1]
    return int(told) if told in seeds else seeds[-1]


def _table(frame: pd.DataFrame, parameters: Sequence[str], held_out: int) -> Table:
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    seeds = sorted(set(columns["seed"]))
    configs: list[Params] = []
    costs: list[float] = []
    reading: list[float] = []
    trainings: dict[tuple[int, int], Training] = {}
    left_out = 0
    for _, rows in groupby(range(len(frame)), key=columns["config"].__getitem__):
        by_seed = {seed: list(own) for seed, own in groupby(rows, key=columns["seed"].__getitem__)}
        if len(by_seed) < len(seeds) or not all(_is_over(columns, own[-1]) for own in by_seed.values()):
            left_out += 1
            continue
        first = by_seed[seeds[0]][0]
        params = {name: columns[name][first] for name in parameters} | {LENGTH: columns["length"][first]}
        for seed, own in by_seed.items():
            trainings[len(configs), seed] = _training(columns, own, params)
        configs.append(params)
        costs.append(float(columns["macs"][first]))
        reading.append(float(columns[READING_MACS][first]) if READING_MACS in columns else 0.0)
    return Table(configs, costs, reading, trainings, [seed for seed in seeds if seed != held_out], held_out, left_out)


def _is_over(columns: Mapping[str, list[Any]], last: int) -> bool:
    """Whether a training's last row is that of its last epoch, or of one that diverged."""
    return columns["epoch"][last] == columns["length"][last] or math.isnan(columns["val_accuracy"][last])


def _training(columns: Mapping[str, list[Any]], rows: Sequence[int], params: Params) -> Training:
    schedule = Schedule.of_length(params[LENGTH])
    rate = float(params.get(RATE, 1.0))
    epochs = [
        Epoch(
            columns["epoch"][row],
            columns["train_loss"][row],
            columns["val_accuracy"][row],
            rate * schedule.factor(columns["epoch"][row] - 0.5),
            _readings(columns, params, row) if _is_read(columns["epoch"][row], params[LENGTH]) else {},
        )
        for row in rows
    ]
    return Training(Trace(epochs), [float(columns["train_macs"][row]) for row in rows])


def _is_read(epoch: int, length: int) -> bool:
    """Whether a study of few images would have read this epoch (`training.run`)."""
    return epoch & (epoch - 1) == 0 or epoch == length


def _readings(columns: Mapping[str, list[Any]], params: Params, row: int) -> dict[str, Reading]:
    """Those layers of which anything was read."""
    found = {}
    for name in params:
        keys = [f"{field}.{name}" for field in READING_FIELDS]
        numbers = [columns[key][row] if key in columns else math.nan for key in keys]
        if not all(map(math.isnan, numbers)):
            found[name] = Reading(*numbers)
    return found
