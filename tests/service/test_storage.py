from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from phashopt.errors import UserError
from phashopt.service.storage import artifact_root, default_storage, open_storage, shown, sqlite_path


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_an_absent_database_is_only_made_when_creating(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with pytest.raises(UserError, match=r"no study database a\.db"):
        open_storage(url(path))
    assert not path.exists()
    open_storage(url(path), create=True)
    assert path.exists()


@pytest.mark.parametrize("create", [True, False])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping list " * 99)
    with pytest.raises(UserError, match="no SQLite database"):
        open_storage(url(path), create=create)
    assert path.read_text() == "shopping list " * 99


@pytest.mark.parametrize("create", [True, False])
def test_another_programs_database_is_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="holds no Optuna studies"):
        open_storage(url(path), create=create)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "no storage URL"),
        ("sqlite:////no/such/folder/a.db", "is no folder"),
        ("martian://x/y", "no storage URL"),
        ("postgresql+psycopg://user:secret@127.0.0.1:1/none", "cannot be opened"),
    ],
)
def test_what_cannot_be_opened_says_so_without_the_password(address: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_storage(address, create=True)
    assert "secret" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    assert "secret" not in shown("postgresql://user:secret@host/db")


def test_artifacts_lie_beside_the_database_unless_said_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PHASHOPT_ARTIFACTS", raising=False)
    assert artifact_root(url(tmp_path / "run.db")) == tmp_path / "run-artifacts"
    monkeypatch.setenv("PHASHOPT_ARTIFACTS", str(tmp_path / "else"))
    assert artifact_root(url(tmp_path / "run.db")) == tmp_path / "else"


def test_the_environment_names_the_default_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHASHOPT_STORAGE", "sqlite:///x.db")
    assert default_storage() == "sqlite:///x.db"


def test_only_sqlite_has_a_file(tmp_path: Path) -> None:
    assert sqlite_path(url(tmp_path / "a.db")) == tmp_path / "a.db"
    assert sqlite_path("postgresql://host/db") is None
