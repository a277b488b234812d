"""The command line in this process, on a database and a spec of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phashopt.cli.app import app
from phashopt.service.storage import open_storage
from phashopt.service.study import open_plain
from phashopt.service.worker import Worker

SPEC = """
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
[signal]
probes = 8
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PHASHOPT_STORAGE", "PHASHOPT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tiny.toml").write_text(SPEC)
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def finished(run: Run, tmp_path: Path) -> str:
    """The tiny study, created and finished."""
    assert run("study", "create", "tiny.toml").exit_code == 0
    Worker("sqlite:///phashopt.db", "tiny", tmp_path, label="test").work()
    assert len(open_plain(open_storage("sqlite:///phashopt.db"), "tiny").trials) == 3
    return "tiny"
