"""What the benchmark scripts share: a clock, a log, the facts of a run, its tables as Markdown, JSON and on screen."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from phashopt.bench.actions import Taken, totals
from phashopt.bench.replay import of_few
from phashopt.errors import UserError
from phashopt.training.files import save_bytes

PUBLISHED = "studies/results"
RESULTS = Path(os.environ.get("PHASHOPT_RESULTS", PUBLISHED))

Row = dict[str, Any]
Tables = dict[str, list[Row]]


def action_rows(column: str, actions: Mapping[str, Iterable[Taken]]) -> list[Row]:
    """What extensions and children brought, for everybody under `column`."""
    return [
        {
            column: name,
            "action": kind,
            "trials": total["trials"],
            "accepted": total["accepted"],
            "gain over the parent": f"{total['gain']:+.2%}",
            "of those accepted": f"{total['accepted_gain']:+.2%}" if total["accepted"] else "",
        }
        for name, every in actions.items()
        for kind, total in totals(every).items()
    ]


class Ledger:
    """The lines measured so far, on disk as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines: list[Row] = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def has(self, **key: Any) -> bool:
        """Whether this was measured."""
        return any(key.items() <= line.items() for line in self.lines)

    def add(self, line: Row) -> None:
        """Keep it, and say so, but for lists of numbers."""
        self.lines.append(line)
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print({key: value for key, value in line.items() if not isinstance(value, list)}, flush=True)


def run(name: str, main: Callable[[], None]) -> None:
    """`main`; what a user did wrong is one line, and exit status 2."""
    try:
        main()
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def available_devices() -> list[torch.device]:
    """The CPU and, where there is one, the GPU."""
    return [torch.device("cpu"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]


def publish(
    name: str,
    title: str,
    tables: Tables,
    packages: tuple[str, ...],
    started: float,
    *,
    notes: str = "",
    details: Any = None,
    folder: Path = RESULTS,
) -> None:
    """Print the tables and write them to `<folder>/<name>.md` and `.json`, with what made them.

    `notes` are Markdown to follow the tables, `details` what only the JSON holds.
    """
    facts = {
        "command": f"OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')} python {shlex.join(sys.argv)}",
        **where_and_when(),
        "versions": ", ".join(f"{package} {installed(package)}" for package in packages),
        "load": round(os.getloadavg()[0], 1),
        "seconds": round(time.perf_counter() - started),
    }
    document = json.dumps({"facts": facts, "tables": tables}, indent=1)
    if details is not None:  # thousands of numbers: on a line of their own, not each on one
        document = f'{document[:-2]},\n "details": {json.dumps(details)}\n}}'
    page = _markdown(title, facts, tables) + notes
    save_bytes(folder / f"{name}.json", f"{document}\n".encode())
    save_bytes(folder / f"{name}.md", page.encode())
    console = Console(width=None if sys.stdout.isatty() else 200)
    for heading, rows in tables.items():
        console.print(_rich_table(heading, rows))


def where_and_when() -> Row:
    """The commit, today, and the devices there are."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "devices": ", ".join(device_name(device) for device in available_devices()),
    }


def commit() -> str:
    """The commit that is checked out, if this is a checkout and git is there; results published since do not count."""
    try:
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PUBLISHED}")
        return _git("describe", "--always") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], text=True, stderr=DEVNULL).strip()


def installed(package: str) -> str:
    """Its version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def seconds(device: torch.device, run: Callable[..., Any], *args: Any) -> float:
    """How long `run(*args)` takes, by `now`."""
    start = now(device)
    run(*args)
    return now(device) - start


def wall_seconds(device: torch.device, run: Callable[..., Any], *args: Any) -> float:
    """How long `run(*args)` takes by the clock, whatever processes and cores it uses."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run(*args)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def now(device: torch.device) -> float:
    """This process's own seconds on the CPU; on CUDA the clock's, once the device is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def device_name(device: torch.device) -> str:
    """Its model name, and of the CPU how many cores are used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    cores = torch.get_num_threads()
    return f"{cores} core{'s' * (cores > 1)} of {models[0].split(': ')[1] if models else platform.processor()}"


def percent(share: float) -> str:
    """Two decimals."""
    return f"{100 * share:.2f}%"


def points(differences: Sequence[float]) -> str:
    """Mean, interval and count of differences in accuracy."""
    mean, low, high = (100 * each for each in of_few(differences))
    interval = f" [{low:+.2f}, {high:+.2f}]" if math.isfinite(low) else ""
    return f"{mean:+.2f}{interval} ({len(differences)} pair{'s' * (len(differences) > 1)})"


def _rich_table(title: str, rows: list[Row]) -> Table:
    """Columns as in the first row."""
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(str, row.values()))
    return table


def _markdown(title: str, facts: Row, tables: Tables) -> str:
    """The same tables, with where they come from."""
    lines = [f"# {title}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    for heading, rows in tables.items():
        lines += ["", f"## {heading}", "", f"| {' | '.join(rows[0])} |", "|" + " --- |" * len(rows[0])]
        lines += [f"| {' | '.join(map(str, row.values()))} |" for row in rows]
    return "\n".join(lines) + "\n"
