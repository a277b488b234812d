"""The README's example, run as a user would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_anybodys_script_runs_with_sampler_pruner_and_probe() -> None:
    command = [sys.executable, "-c", "import own_script; own_script.main(trials=5)"]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, check=True, timeout=300)
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"trial {number}" for number in range(5)] + ["best"]
    assert any("weight of the signal" in line for line in lines)
    assert float(lines[-1].split()[1]) > 0.8


def test_the_readme_shows_the_script_that_runs() -> None:
    assert (EXAMPLES / "own_script.py").read_text() in (EXAMPLES.parent / "README.md").read_text()
