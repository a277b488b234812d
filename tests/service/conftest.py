"""A study of three tiny trials on real scans, in a database of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from phashopt.service.spec import Spec, load_spec
from phashopt.service.study import create_study


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
