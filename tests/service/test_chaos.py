from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "chaos.py"


@pytest.mark.parametrize(
    "options",
    [
        ("--storage", "sqlite", "--kills", "4"),
        ("--storage", "postgresql", "--kills", "4", "--outages", "2", "--outage-seconds", "2"),
    ],
    ids=["sqlite", "postgresql"],
)
def test_every_trial_ends_once_whatever_happens_to_its_workers(options: tuple[str, ...]) -> None:
    short = ("--trials", "16", "--workers", "4", "--seconds", "0.8", "--grace", "3")
    done = subprocess.run([sys.executable, str(SCRIPT), *short, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 COMPLETE" in done.stdout or "FAIL" in done.stdout
