"""A task of a few tiny trainings on real scans, and its table."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from phashopt.bench.record import Recording
from phashopt.bench.task import RecordTask
from phashopt.service.spec import load_as

RECORD = """
[record]
configurations = 9
lengths = [1, 2]
seeds = [0, 1]
held_out = 2
"""
TINY = (
    "record.configurations=2",
    "record.lengths=[2,3]",
    "record.seeds=[0]",
    "data.limit=120",
    "limits={}",
    "training.batch_size=16",
)


class Table(NamedTuple):
    """A recorded table, its task and its file."""

    task: RecordTask
    path: Path
    frame: pd.DataFrame


@pytest.fixture(scope="session")
def record_file(tmp_path_factory: pytest.TempPathFactory, tiny_spec: str) -> Path:
    path = tmp_path_factory.mktemp("task") / "task.toml"
    path.write_text(tiny_spec + RECORD)
    return path


@pytest.fixture(scope="session")
def table(record_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Table:
    task = load_as(RecordTask, record_file, TINY)
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    list(Recording(task, path, path.parent).record(1))
    return Table(task, path, pd.read_parquet(path))


@pytest.fixture(scope="session")
def telling(table: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same table as if networks and lengths differed, which so few images cannot show."""
    path = tmp_path_factory.mktemp("telling") / "table.parquet"
    network = table.frame["config"] // len(table.task.record.lengths)
    anneals = table.frame["epoch"] == table.frame["length"]
    accuracy = 0.1 * (1 + network) + 0.01 * table.frame["epoch"] + 0.001 * anneals
    table.frame.assign(val_accuracy=accuracy).to_parquet(path)
    return path


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """As `undrawn`, for as long as `patch` lasts."""
    patch.setattr("phashopt.service.objective.upload_pictures", lambda *_: None)
    patch.setattr("phashopt.service.worker.refresh_plots", lambda *_, **__: None)
