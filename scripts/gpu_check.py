"""Does all of it run on this machine's GPU, and does it tell the same as on a CPU? In under nine minutes.

`python scripts/gpu_check.py --data-dir DIR` (`make gpu-check`) runs the CUDA parts of the test suite, compares readings
with the CPU's, runs the three benchmarks at GPU size and one CIFAR-10 study from creation to report. It writes
GPU_CHECK.md beside what the benchmarks write. Exit status: 0 all is well, 1 something failed, 2 there is no GPU, or a
package is missing. `--device cpu --toy` runs the same on a CPU in small.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

MINUTES = 8.5
LINES = 60  # of a failed check's output
NEEDED = (
    "captum", "hypothesis", "jinja2", "joblib", "matplotlib", "numpy", "optuna", "optuna_dashboard",
    "pandas", "plotly", "pydantic", "pytest", "rich", "safetensors", "scipy", "sklearn", "torchvision", "typer",
)  # fmt: skip
TESTS = ("tests/training/test_devices.py",)  # that of readings is agreement.py's
FEW_TRIALS = ("study.trials=6", "training.epochs={low=2,high=6}")
TOY_TRIALS = (
    "study.trials=2", "training.epochs={low=1,high=2}", "data.limit=300", "network.baseline=[8,8]", "limits.macs=2e6",
    "signal.probes=8",
)  # fmt: skip
NAME = "gpu_check"


@dataclass(frozen=True)
class Check:
    """One thing that must run: commands one after the other, in so many seconds; the last one's last line may tell."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    seconds: float
    tells: bool = False


def main() -> None:
    """Check, print, write; exit with the status."""
    arguments = parsed()
    if reason := impossible(arguments.device):
        print(f"gpu-check: {reason}", file=sys.stderr)
        raise SystemExit(2)
    started = time.perf_counter()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_of(Path(folder), arguments)
        rows = []
        for check in checks(arguments, Path(folder)):
            left = 60 * MINUTES - (time.perf_counter() - started)
            rows.append(outcome(check, environment, min(check.seconds, left)))
            print(" | ".join(map(str, rows[-1].values())), flush=True)
    write(rows, arguments.out, started)
    raise SystemExit(any(row["result"] != "ok" for row in rows))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--toy", action="store_true", help="everything in small")
    parser.add_argument("--data-dir", type=Path, required=True, help="holds torchvision's MNIST and CIFAR-10")
    parser.add_argument("--out", type=Path, default=Path("studies/results/gpu"), help="where the results go")
    return parser.parse_args()


def impossible(device: str) -> str | None:
    """Why nothing can be checked here, in one line."""
    if device == "cuda" and not torch.cuda.is_available():
        return "there is no CUDA device here; run it on a machine with a GPU, or try --device cpu --toy"
    missing = [package for package in NEEDED if find_spec(package) is None]
    return f"missing here: {', '.join(missing)}; install them, or put their wheels on PYTHONPATH" if missing else None


def environment_of(folder: Path, arguments: argparse.Namespace) -> Mapping[str, str]:
    """This tree is what is checked, on this device alone, with its results where they are asked for."""
    paths = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if arguments.device == "cpu" else {}
    return {
        **os.environ,
        **hidden,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PHASHOPT_STORAGE": f"sqlite:///{folder}/phashopt.db",
        "PHASHOPT_ARTIFACTS": str(folder / "artifacts"),
        "PHASHOPT_DATA": str(arguments.data_dir.absolute()),
        "PHASHOPT_RESULTS": str(arguments.out.absolute()),
    }


def checks(arguments: argparse.Namespace, folder: Path) -> list[Check]:
    """Quick ones first."""
    python, device = sys.executable, arguments.device
    toy = ("--toy",) if arguments.toy else ()
    service = ("--storages", "sqlite", "--finished", "100", "--workers", "1", "8", "--trials", "8", "--seconds", "0.5")
    training = ("--data-dir", str(arguments.data_dir), "--device", device, *toy)
    tests = (python, "-m", "pytest", "--disable-warnings", "-p", "no:cacheprovider", "-k", device, *TESTS)
    cli = (python, "-m", "phashopt")
    overrides = tuple(part for value in (TOY_TRIALS if arguments.toy else FEW_TRIALS) for part in ("--set", value))
    return [
        Check("tests", (tests,), 90, tells=True),
        Check("readings agree with the CPU's", ((python, "scripts/agreement.py", device),), 60, tells=True),
        Check(
            "a CIFAR-10 study, end to end",
            (
                (*cli, "study", "create", "studies/cifar10.toml", "--name", NAME, *overrides),
                (*cli, "worker", NAME, "--processes", "1" if arguments.toy else "2"),
                (*cli, "study", "show", NAME),
                (*cli, "confirm", NAME, "--seeds", "2"),
                (*cli, "report", NAME, "--out", str(folder / "report")),
            ),
            200,
        ),
        Check("benchmark: signal", ((python, "scripts/bench_signal.py", "--device", device, *toy),), 120),
        Check("benchmark: training", ((python, "scripts/bench_training.py", *training),), 240),
        Check("benchmark: service", ((python, "scripts/bench_service.py", *service),), 90),
    ]


def outcome(check: Check, environment: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Run one check; what it said last is kept where that tells something, or it failed."""
    started = time.perf_counter()
    said, result = "", "ok" if seconds >= 1 else "no time was left"
    for command in check.commands if seconds >= 1 else ():
        left = max(1.0, seconds - (time.perf_counter() - started))
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=left, check=False)
        except subprocess.TimeoutExpired:
            said, result = f"{' '.join(command[1:4])} took longer than {left:.0f} s", "too slow"
            break
        said = (done.stdout + done.stderr).strip()
        if done.returncode:
            print("\n".join(said.splitlines()[-LINES:]), file=sys.stderr)
            result = f"failed with status {done.returncode}"
            break
    last = said.splitlines()[-1] if said and (check.tells or result != "ok") else ""
    return {"check": check.name, "result": result, "seconds": round(time.perf_counter() - started), "last line": last}


def write(rows: list[dict[str, Any]], folder: Path, started: float) -> None:
    """Print and keep the outcome."""
    from results import publish

    packages = ("torch", "torchvision", "optuna")
    publish("GPU_CHECK", "The GPU check", {"Checks": rows}, packages, started, folder=folder)


if __name__ == "__main__":
    main()
