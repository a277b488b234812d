"""The paper's Table I: accuracy before and after adjustment, and what else the same compute could have bought.

`python scripts/table1.py cifar10 cifar10_vgg` works on these specs in studies/ (by default on all of Table I's) and
writes studies/results/TABLE1.md and TABLE1.json. It needs no network. `--minutes 9` ends it in time with exit status 3,
and the same command goes on from there; rows are written as they come. `--small data.limit=12000` makes all choices on
as many images, in a fraction of the time, and judges what was chosen in full. `--keep` goes on from the rows that are
published, where the work of earlier sittings is gone. `--toy` runs all of it in small on the CPU and writes beside its
work.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import optuna
from results import RESULTS, publish
from table1_page import notes, tables_of

from phashopt.bench.comparison import Comparison, Part, Size, details_of, part_of
from phashopt.bench.sitting import OutOfTimeError, Sitting
from phashopt.errors import UserError
from phashopt.service.spec import Spec, load_spec
from phashopt.training.data import default_data_dir

STUDIES = Path("studies")
DEFAULT = [
    "mnist",
    *(f"fashion_mnist{family}" for family in ("", "_vgg")),
    *(f"cifar{n}{family}" for n in (10, 100) for family in ("", "_vgg", "_resnet")),
]
UNFINISHED = 3
FULL, TOY = Size(seeds=5, top=3, rates=3, longest=10), Size(seeds=2, top=2, rates=2, longest=2)
SMALL = ["study.trials=5", "data.limit=400", "signal.probes=8", "training.epochs={low=1,high=3}"]
PACKAGES = ("torch", "torchvision", "optuna", "numpy")


def main() -> None:
    """Work on every study as long as there is time; those that are complete are written."""
    arguments = parsed()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    started = time.perf_counter()
    size = TOY if arguments.toy else FULL
    size = replace(size, seeds=arguments.seeds or size.seeds)
    sitting = Sitting(arguments.data_dir, arguments.work, arguments.processes, time.time() + 60 * arguments.minutes)
    overrides = [*(SMALL if arguments.toy else ()), *arguments.overrides]
    parts: dict[str, Part] = {}
    searched: dict[str, Spec] = {}
    for name in arguments.studies or DEFAULT:
        path = STUDIES / f"{name}.toml"
        spec, searched[name] = load_spec(path, overrides), load_spec(path, [*overrides, *arguments.small])
        known = published(name, spec, searched[name]) if arguments.keep else None
        try:
            parts[name] = Comparison(spec, size, sitting, searched[name], known).part()
        except OutOfTimeError:
            continue
    unfinished = [name for name in arguments.studies or DEFAULT if name not in parts or parts[name].missing]
    seconds = add_up(arguments.work / "seconds.json", time.perf_counter() - started)
    if parts:
        publish(
            "TABLE1",
            "Table I, before and after",
            tables_of(parts),
            PACKAGES,
            time.perf_counter() - seconds,
            notes=notes(parts, unfinished, overrides, arguments.small),
            details={name: details_of(part, searched[name]) for name, part in parts.items()},
            folder=arguments.out or (arguments.work if arguments.toy else RESULTS),
        )
    if unfinished:
        print(f"Out of time; the same command goes on with {', '.join(unfinished)}.", file=sys.stderr)
        raise SystemExit(UNFINISHED)


def published(name: str, spec: Spec, searched: Spec) -> Part | None:
    """The rows of this study in the table that is there."""
    path = RESULTS / "TABLE1.json"
    details = json.loads(path.read_text())["details"] if path.exists() else {}
    return part_of(details[name], spec, searched) if name in details else None


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"by default {', '.join(DEFAULT)}")
    parser.add_argument("--toy", action="store_true", help="a smoke test: tiny studies, two seeds")
    parser.add_argument("--seeds", type=int, help=f"fresh seeds for each row (default: {FULL.seeds})")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end in time and go on when called again")
    parser.add_argument("--processes", type=int, default=1, help="trainings that share the device")
    parser.add_argument("--keep", action="store_true", help="go on from the rows that are published, on any machine")
    parser.add_argument("--data-dir", type=Path, default=default_data_dir())
    parser.add_argument("--work", type=Path, default=Path("table1"), help="where unfinished work is kept")
    parser.add_argument("--out", type=Path, help="where the table goes (default: studies/results; --toy: the work)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="section.key=value")
    parser.add_argument("--small", action="append", default=[], metavar="section.key=value", help="for choices only")
    return parser.parse_args()


def add_up(path: Path, seconds: float) -> float:
    """The seconds of all sittings, this one included."""
    total = seconds + (json.loads(path.read_text()) if path.exists() else 0.0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(total))
    return total


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"table1: {error}")
