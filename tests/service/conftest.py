"""A study of three tiny trials on real scans, in a database of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from phashopt.service.spec import Spec, load_spec
from phashopt.service.study import create_study

SPEC = """
[study]
name = "tiny"
trials = 3
[data]
dataset = "digits"
limit = 300
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


@pytest.fixture
def spec_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SPEC)
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
