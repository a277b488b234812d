"""What holds for the whole suite."""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from typing import Any

import pytest
import torch
from alembic.script import base as migrations
from hypothesis import settings
from sqlalchemy import event
from sqlalchemy.engine import Engine

# a deadline would be a timed assertion; a change is judged on examples that stay the same, new ones are found at home
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")

# a study database is opened a thousand times: each would read and run all of Optuna's migrations anew
migrations.util.load_python_file = lru_cache(maxsize=None)(migrations.util.load_python_file)

TINY_SPEC = """
[study]
name = "tiny"
trials = 3
[data]
dataset = "digits"
limit = 300
held_out = 0.2
[network]
kernel_size = 3
widths = { low = 2, high = 8, step = 2 }
baseline = [4, 6]
[training]
epochs = { low = 1, high = 2 }
learning_rate = { low = 0.01, high = 0.1, log = true }
[limits]
macs = 20_000
[signal]
probes = 8
"""


@event.listens_for(Engine, "connect")
def _ahead_of_the_disk(connection: Any, _: object) -> None:
    """SQLite in these processes does not wait for the disk: a test may be killed, but the power does not fail."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: a process more than there are cores, since some tests wait for processes of their own."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def tiny_spec() -> str:
    """A study of three tiny trials on real scans, seconds in all."""
    return TINY_SPEC


@pytest.fixture(params=["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device there is: `pytest -k cuda` runs what is to be run on a GPU."""
    return torch.device(request.param)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process trials leave no pictures and a study no plots, which are most of a tiny trial's time."""
    monkeypatch.setattr("phashopt.service.objective.upload_pictures", lambda *_: None)
    monkeypatch.setattr("phashopt.service.worker.refresh_plots", lambda *_, **__: None)
