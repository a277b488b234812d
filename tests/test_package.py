from __future__ import annotations

import subprocess
import sys

import pytest

import phashopt


@pytest.mark.parametrize("name", phashopt.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(phashopt, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        phashopt.nonsense  # noqa: B018


@pytest.mark.parametrize("heavy", ["torch", "optuna"])
def test_importing_the_package_loads_nothing_heavy(heavy: str) -> None:
    code = f"import phashopt, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("room", "unwanted"),
    [
        ("search", "torch"),
        ("signal", "optuna"),
        ("plans", "torch"),
        ("cli.live", "torch"),  # of the process that listens to workers
        ("service.server", "torch"),
    ],
)
def test_a_room_can_be_had_alone(room: str, unwanted: str) -> None:
    code = f"import phashopt.{room}, sys; sys.exit({unwanted!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
