"""A study of three tiny trials on real scans, in a database of its own; and the same in every kind of database."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from throwaway_postgres import Postgres

from phashopt.service.creation import create_study
from phashopt.service.server import Server
from phashopt.service.spec import Spec, load_spec
from phashopt.service.supervisor import IMPORTED

multiprocessing.get_context("forkserver").set_forkserver_preload(IMPORTED)  # once for all tests

PATIENT = 3600.0  # a grace period that no test outlasts, however slow the machine
KINDS = ("sqlite", "journal", "postgresql", "grpc")


@pytest.fixture
def spec_file(tmp_path: Path, tiny_spec: str) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_spec)
    return path


@pytest.fixture
def spec_of(spec_file: Path) -> Callable[..., Spec]:
    """The tiny spec with overrides."""
    return lambda *overrides: load_spec(spec_file, overrides)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def study(url: str, spec_of: Callable[..., Spec], tmp_path: Path) -> str:
    """The name of the tiny study, made in `url`."""
    create_study(url, spec_of(), tmp_path)
    return "tiny"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(params=KINDS)
def any_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database of each kind, the proxy before PostgreSQL; the artifacts lie in `tmp_path`."""
    monkeypatch.setenv("PHASHOPT_ARTIFACTS", str(tmp_path / "artifacts"))
    match request.param:
        case "sqlite":
            yield f"sqlite:///{tmp_path / 'studies.db'}"
        case "journal":
            yield f"journal:///{tmp_path / 'studies.log'}"
        case "postgresql":
            yield request.getfixturevalue("postgres").new_database()
        case _:
            database = request.getfixturevalue("postgres").new_database()
            with Server(database, "127.0.0.1", 0, grace=PATIENT) as server:
                yield f"grpc://127.0.0.1:{server.port}"


@pytest.fixture
def any_study(any_url: str, spec_of: Callable[..., Spec], tmp_path: Path) -> str:
    """The name of the tiny study, made in `any_url`."""
    create_study(any_url, spec_of(), tmp_path)
    return "tiny"
