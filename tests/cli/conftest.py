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

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, tiny_spec: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PHASHOPT_STORAGE", "PHASHOPT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tiny.toml").write_text(tiny_spec)
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def finished(run: Run, tmp_path: Path) -> str:
    """The tiny study, created and finished."""
    assert run("study", "create", "tiny.toml").exit_code == 0
    Worker("sqlite:///phashopt.db", "tiny", tmp_path, label="test").work()
    assert len(open_plain(open_storage("sqlite:///phashopt.db"), "tiny").trials) == 3
    return "tiny"
