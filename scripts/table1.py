"""The paper's Table I: accuracy before and after adjustment, and what else the same compute could have bought.

`python scripts/table1.py cifar10 cifar10_vgg` works on these specs in studies/ (by default on all of Table I's) and
writes studies/results/TABLE1.md and TABLE1.json, anew after each of them; other studies that are there stay. It needs
no network. `--minutes 9` ends it in time with exit status 3, and the same command goes on from there. `--small
data.limit=12000` makes all choices on as many images, in a fraction of the time, and judges what was chosen in full.
`--keep` goes on from the rows that are published, with the `--set` and `--small` that these were made with, where the
work of earlier sittings is gone. `--toy` runs all of it in small on the CPU and writes beside its work.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from results import RESULTS, publish, run, where_and_when
from table1_page import notes, seconds_of, tables_of

from phashopt.bench.comparison import Comparison, Part, Size, details_of, part_of
from phashopt.bench.sitting import OutOfTimeError, Sitting
from phashopt.errors import UserError
from phashopt.service.spec import Spec, load_spec
from phashopt.training.datasets import default_data_dir

STUDIES = Path("studies")
DEFAULT = [
    "mnist",
    *(f"fashion_mnist{family}" for family in ("", "_vgg")),
    *(f"cifar{n}{family}" for n in (10, 100) for family in ("", "_vgg", "_resnet")),
]
PAGE = "TABLE1"
UNFINISHED = 3
FULL, TOY = Size(seeds=5, top=3, rates=3, longest=10), Size(seeds=2, top=2, rates=2, longest=2)
SMALL = ["study.trials=5", "data.limit=400", "signal.probes=8", "training.epochs={low=1,high=3}"]
PACKAGES = ("torch", "torchvision", "optuna", "numpy")

Told = dict[str, Any]  # one study's part of the JSON: its rows, how it was asked for, and the sittings that made them


def main() -> None:
    """Work on every study as long as there is time, and write the page after each."""
    arguments = parsed()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    size = TOY if arguments.toy else FULL
    size = replace(size, seeds=arguments.seeds or size.seeds)
    sitting = Sitting(arguments.data_dir, arguments.work, arguments.processes, time.time() + 60 * arguments.minutes)
    folder = arguments.out or (arguments.work if arguments.toy else RESULTS)
    told = published(folder)
    asked = arguments.studies or DEFAULT
    options = {name: options_of(told.get(name), arguments) for name in asked}
    specs = {name: specs_of(name, **each) for name, each in options.items()}
    known = {
        name: known_part(told[name], *specs[name], size.seeds) for name in asked if arguments.keep and name in told
    }
    unfinished = []
    for name, (spec, searched) in specs.items():
        if time.time() >= sitting.deadline and not (sitting.work / name).exists():
            unfinished.append(name)
            continue
        try:
            part = Comparison(spec, size, sitting, searched, known.get(name)).part()
        except OutOfTimeError:
            unfinished.append(name)
            continue
        unfinished += [name] if part.missing else []
        found = json.loads(json.dumps(details_of(part, searched)))
        told = published(folder)  # another sitting, on another study, may have added to it
        told[name] = found | options[name] | {"sittings": sittings_of(found["rows"], told.get(name, {}))}
        write(told, folder)
    if unfinished:
        print(f"Out of time; the same command goes on with {', '.join(unfinished)}.", file=sys.stderr)
        raise SystemExit(UNFINISHED)


def options_of(told: Told | None, arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Those given; what is gone on with keeps its own where none are."""
    if told and arguments.keep and not arguments.overrides and not arguments.small:
        return {"overrides": told["overrides"], "small": told["small"]}
    return {"overrides": [*(SMALL if arguments.toy else ()), *arguments.overrides], "small": arguments.small}


def specs_of(name: str, overrides: list[str], small: list[str]) -> tuple[Spec, Spec]:
    """What is judged, and the same with the images that choices are made on."""
    path = STUDIES / f"{name}.toml"
    return load_spec(path, overrides), load_spec(path, [*overrides, *small])


def published(folder: Path) -> dict[str, Told]:
    """All studies of the table that is there."""
    path = folder / f"{PAGE}.json"
    return json.loads(path.read_text())["details"] if path.exists() else {}


def known_part(told: Told, spec: Spec, searched: Spec, seeds: int) -> Part:
    """The rows that are published; raises `UserError` where they are of other specs, or other seeds judged them."""
    part = part_of(told, spec, searched)
    if others := {len(row.scores) for row in part.rows.values()} - {seeds}:
        raise UserError(f"the {spec.study.name} that was published was judged by {min(others)} seeds, not {seeds}")
    return part


def sittings_of(rows: list[Told], before: Told) -> list[Told]:
    """Which rows were judged when, at which commit and on what; those that are as they were `before` keep theirs."""
    same = [row["name"] for row in rows if row in before.get("rows", [])]
    kept = [{**each, "rows": [name for name in each["rows"] if name in same]} for each in before.get("sittings", [])]
    new = {**where_and_when(), "rows": [row["name"] for row in rows if row["name"] not in same]}
    return [each for each in (*kept, new) if each["rows"]]


def write(told: dict[str, Told], folder: Path) -> None:
    """The whole page."""
    order = sorted(told, key=lambda name: DEFAULT.index(name) if name in DEFAULT else len(DEFAULT))
    parts = {name: part_of(told[name]) for name in order}
    publish(
        PAGE,
        "Table I, before and after",
        tables_of(parts, {name: told[name]["sittings"] for name in order}),
        PACKAGES,
        time.perf_counter() - sum(map(seconds_of, parts.values())),
        notes=notes(parts, told),
        details={name: told[name] for name in order},
        folder=folder,
    )


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help=f"by default {', '.join(DEFAULT)}")
    parser.add_argument("--toy", action="store_true", help="a smoke test: tiny studies, two seeds")
    parser.add_argument("--seeds", type=at_least(2), help=f"fresh seeds for each row (default: {FULL.seeds})")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end in time and go on when called again")
    parser.add_argument("--processes", type=at_least(1), default=1, help="trainings that share the device")
    parser.add_argument("--keep", action="store_true", help="go on from the rows that are published, on any machine")
    parser.add_argument("--data-dir", type=Path, default=default_data_dir())
    parser.add_argument("--work", type=Path, default=Path("table1"), help="where unfinished work is kept")
    parser.add_argument("--out", type=Path, help="where the table goes (default: studies/results; --toy: the work)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="section.key=value")
    parser.add_argument("--small", action="append", default=[], metavar="section.key=value", help="for choices only")
    return parser.parse_args()


def at_least(least: int) -> Callable[[str], int]:
    """A whole number that is no less."""

    def number(told: str) -> int:
        if (value := int(told)) < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


if __name__ == "__main__":
    run("table1", main)
