"""The command line in this process, on a database and a spec of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phashopt.cli.app import app
from phashopt.service.creation import create_study
from phashopt.service.spec import load_spec
from phashopt.service.storage import open_storage
from phashopt.service.study import ARTIFACTS_KEY, open_plain
from phashopt.service.worker import Worker

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, tiny_spec: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder; `typed` are the answers to what it asks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("PHASHOPT_STORAGE", "PHASHOPT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tiny.toml").write_text(tiny_spec)
    return lambda *words, typed="": CliRunner().invoke(app, list(words), input=typed)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_spec: str) -> Path:
    """A folder in which the tiny study was created and finished."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.toml").write_text(tiny_spec)
    url = f"sqlite:///{folder / 'phashopt.db'}"
    create_study(url, load_spec(folder / "tiny.toml"), folder)
    Worker(url, "tiny", folder, label="test").work()
    assert len(open_plain(open_storage(url), "tiny").trials) == 3
    return folder


@pytest.fixture
def finished(run: Run, trained: Path, tmp_path: Path) -> str:
    """The name of a copy of it, beside which the commands run."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    study = open_plain(open_storage("sqlite:///phashopt.db"), "tiny")
    study.set_user_attr(ARTIFACTS_KEY, str(tmp_path / "phashopt-artifacts"))
    return "tiny"
