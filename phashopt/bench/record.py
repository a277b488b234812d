"""Record a table: every configuration and seed trained once, kept as it comes, and a Parquet file at the end."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from joblib import Parallel, delayed

from phashopt.bench.alone import alone
from phashopt.bench.recording import LENGTH_COLUMN, Recorder, Row
from phashopt.bench.task import RecordTask, configurations
from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.service.creation import versions
from phashopt.service.images import load_data
from phashopt.service.objective import device_name
from phashopt.training.data import DataSet
from phashopt.training.files import save_bytes

FIRST = ("config", "seed", LENGTH_COLUMN, "epoch")
Job = tuple[int, int]  # which network, which seed


@dataclass(frozen=True)
class Recorded:
    """One training that is kept now."""

    job: Job
    done: int
    jobs: int
    accuracy: float


class Recording:
    """A table on its way: `FILE.part` holds one JSON line a training, the first one says of what; `FILE` is whole.

    Killed at any moment, it goes on with the trainings that are not there yet: a line that was not written to its end
    is trained again.
    """

    def __init__(self, task: RecordTask, out: Path, data_dir: Path) -> None:
        self._task = task
        self._out = out
        self._part = out.with_name(f"{out.name}.part")
        self._data_dir = data_dir
        if not out.absolute().parent.is_dir():
            raise UserError(f"{out.parent} is no folder; make it, or give another --out")
        if out.is_dir():
            raise UserError(f"{out} is a folder; name a file in it: --out {out / 'table.parquet'}")
        data = load(task, data_dir)
        self._networks = configurations(task, ImageShape(*data.shape), len(data.classes))
        self._header = header(task, data)
        if out.exists() and not _same(_metadata(out), self._header):
            raise UserError(f"{out} was recorded of another task; choose another --out, or remove it")
        if not _same(self._lines()[0], self._header):
            raise UserError(f"{self._part} was begun with another task; choose another --out, or remove it")

    def record(self, processes: int) -> Iterator[Recorded]:
        """Train what is missing, in `processes` of their own, and write the table once nothing is.

        Raises `UserError` while another process does.
        """
        with alone(self._part, f"records {self._out}"):
            if not self._out.exists():
                yield from self._record(processes)

    def _record(self, processes: int) -> Iterator[Recorded]:
        done = self._begin()
        jobs = [(index, seed) for index in range(len(self._networks)) for seed in self._task.record.every_seed]
        missing = [job for job in jobs if job not in done]
        train = delayed(_train)
        document = self._task.model_dump_json()
        pool = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)
        with self._part.open("a") as file:
            for job, rows in pool(train(document, str(self._data_dir), job, self._networks[job[0]]) for job in missing):
                print(json.dumps({"job": job, "rows": rows}), file=file, flush=True)
                done.add(job)
                yield Recorded(job, len(done), len(jobs), rows[-1]["val_accuracy"])
        self._consolidate()

    def _begin(self) -> set[Job]:
        """Which trainings are there; a torn last line is cut off."""
        lines = self._lines()
        save_bytes(self._part, "".join(f"{json.dumps(line)}\n" for line in lines).encode())
        return {(line["job"][0], line["job"][1]) for line in lines[1:]}

    def _lines(self) -> list[dict[str, Any]]:
        """What of the task, then one a training that is whole; what a power cut left of others is trained again."""
        text = self._part.read_text(errors="replace") if self._part.exists() else ""
        found = [_parsed(line) for line in text.split("\n")[:-1]]
        if not found:
            return [self._header]
        if not found[0]:
            raise UserError(f"{self._part} is damaged where it says what it is of; remove it, or choose another --out")
        return [found[0], *(line for line in found[1:] if line.keys() >= {"job", "rows"})]

    def _consolidate(self) -> None:
        recorder = Recorder(self._task, load(self._task, self._data_dir))
        lengths = self._task.record.lengths
        trainings = sorted(self._lines()[1:], key=lambda line: line["job"])
        rows: list[Row] = []
        for line in trainings:
            index, seed = line["job"]
            constants = recorder.constants(self._networks[index])
            for row in line["rows"]:
                config = index * len(lengths) + lengths.index(row[LENGTH_COLUMN])
                rows.append({"config": config, "seed": seed, **row, **constants})
        save_bytes(self._out, parquet(rows, self._header))
        self._part.unlink()


def load(task: RecordTask, data_dir: Path) -> DataSet:
    """The task's images on this machine's device."""
    return load_data(task, data_dir, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def header(task: RecordTask, data: DataSet) -> dict[str, Any]:
    """What a table is of; what it was made with is not compared."""
    return {
        "spec": task.model_dump_json(),
        "data_hash": data.hash,
        "image": list(data.shape),
        "classes": list(data.classes),
        "versions": versions(),
        "device": f"{device_name(data.train.device)}, {os.cpu_count()} cores",
    }


def parquet(rows: Sequence[Row], metadata: Mapping[str, Any]) -> bytes:
    """The table as a file: real numbers in single precision, metadata as JSON under its own names."""
    frame = pd.DataFrame(rows)
    frame = frame[[*FIRST, *(column for column in frame if column not in FIRST)]]
    numbers = [column for column in frame if "." in str(column) and frame[column].dtype == float]
    frame = frame.astype(dict.fromkeys(["train_loss", "val_accuracy", *numbers], "float32"))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    file = BytesIO()
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **texts}), file, compression="zstd")
    return file.getvalue()


def _metadata(path: Path) -> dict[str, Any]:
    try:
        found = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path} is no Parquet table; choose another --out, or remove it") from error
    return {key.decode(): value.decode() for key, value in found.items()}


def _parsed(line: str) -> dict[str, Any]:
    """Empty where it is damaged."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("spec", "data_hash"))


@lru_cache(1)
def _recorder(document: str, data_dir: str) -> Recorder:
    task = RecordTask.model_validate_json(document)
    recorder = Recorder(task, load(task, Path(data_dir)))
    gc.freeze()  # on CUDA every training looks for garbage before it records a step (`training.replay`)
    return recorder


def _train(document: str, data_dir: str, job: Job, params: dict[str, Any]) -> tuple[Job, list[Row]]:
    return job, _recorder(document, data_dir).record(job[0], params, job[1])
