from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phashopt.errors import UserError
from phashopt.service.storage import (
    artifact_root,
    default_storage,
    file_path,
    inside,
    kind,
    open_storage,
    shown,
    without_password,
)


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


def test_a_damaged_database_is_not_taken_for_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.db"
    open_storage(url(path), create=True)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"mine\.db is damaged .*take a backup"):
        open_storage(url(path))


def test_where_there_is_no_folder_either_that_is_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere is no folder"):
        open_storage(url(tmp_path / "nowhere" / "a.db"))


@pytest.mark.parametrize("create", [True, False])
def test_another_programs_database_is_left_alone(tmp_path: Path, create: bool) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE birds (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="holds no Optuna studies"):
        open_storage(url(path), create=create)
    assert path.read_bytes() == before


KILLED_IN_A_WRITE = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size = 1")  # pages reach the file before the commit
connection.execute("UPDATE study_user_attributes SET value_json = '0'")
connection.executemany("INSERT INTO studies (study_name) VALUES (?)", ((str(i) * 50,) for i in range(5_000)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_database_whose_writer_was_killed_is_opened_as_it_was_before_the_write(tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    optuna.create_study(study_name="a", storage=open_storage(url(path), create=True)).set_user_attr("x", 1)
    subprocess.run([sys.executable, "-c", KILLED_IN_A_WRITE, path], check=False)
    assert path.with_name("studies.db-journal").stat().st_size > 0
    (study,) = open_storage(url(path)).get_all_studies()
    assert (study.study_name, study.user_attrs) == ("a", {"x": 1})


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "no storage URL"),
        ("sqlite:////no/such/folder/a.db", "is no folder"),
        ("journal:////no/such/folder/a.log", "is no folder"),
        ("martian://x/y", "no storage URL"),
        ("mysql://user:secret@host/db", "no storage URL"),
        ("postgresql://user:secret@127.0.0.1:1/none", "cannot be opened"),
        ("postgresql+nodriver://user:secret@127.0.0.1:1/none", "no storage URL"),
        ("postgresql://user:secret@127.0.0.1:notaport/none", "no storage URL"),
        ("postgresql://user:{secret}@127.0.0.1:1/none", "cannot be opened"),
        ("grpc://", "names no host"),
        ("grpc://127.0.0.1:notaport", "no address of a proxy"),
    ],
)
def test_what_cannot_be_opened_says_so_without_the_password(address: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_storage(address, create=True)
    assert "secret" not in str(caught.value)


def test_a_file_may_have_braces_in_its_name(tmp_path: Path) -> None:
    open_storage(f"sqlite:///{tmp_path}/{{x}}.db", create=True)
    assert (tmp_path / "{x}.db").exists()


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


@pytest.mark.parametrize("scheme", ["sqlite", "journal"])
def test_files_are_named_as_sqlalchemy_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert file_path(f"{scheme}:////studies/a.db") == Path("/studies/a.db")
    assert file_path(f"{scheme}:///a.db") == tmp_path / "a.db"


@pytest.mark.parametrize("address", ["postgresql://host/db", "grpc://host:1"])
def test_a_server_has_no_file(address: str) -> None:
    assert file_path(address) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://host/db", "postgresql"),
        ("postgres://host/db", "postgresql"),
        ("postgresql+psycopg://host/db", "postgresql"),
        ("journal:///a.log", "journal"),
        ("a.db", ""),
    ],
)
def test_a_url_says_what_it_is(address: str, expected: str) -> None:
    assert kind(address) == expected


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("content", ["shopping list\n", '{"a": 1}\n', "[1]\n", "7\n", "\0"])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, create: bool, content: str) -> None:
    path = tmp_path / "notes.log"
    path.write_text(content)
    with pytest.raises(UserError, match="no journal"):
        open_storage(f"journal:///{path}", create=create)
    assert path.read_text() == content


def test_a_password_is_taken_out_of_any_text() -> None:
    assert without_password("login secret refused", "postgresql://user:secret@host/db") == "login *** refused"


def test_a_password_is_taken_out_as_it_is_written_too() -> None:
    assert without_password("p%40ss p@ss", "postgresql://user:p%40ss@host/db") == "*** ***"


@given(name=st.text(max_size=20) | st.sampled_from(["..", "a/../..", "/etc", "\0", "..\\x", ""]))
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    root = Path("/srv/artifacts")
    try:
        path = inside(root, name)
    except UserError:
        return
    assert path.parent == root
    assert Path(os.path.normpath(path)) == path
