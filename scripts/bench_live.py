"""Searches that train real networks at equal compute, on a task of `studies/live`.

`python scripts/bench_live.py --arm ours --arm TPE+Hyperband --seeds 5` plays what is missing, for hours if need be, and
writes LIVE_FASHION.md and .json, named after the task, to studies/results. Interrupted, the same command goes on;
`--no-play` writes what is there. `--keep TPE+Hyperband` takes the matches of a contestant that has not changed from the
page that is there; those it lacks are played if it is an `--arm` too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import optuna
from results import RESULTS, Row, Tables, action_rows, commit, points, publish, run

from phashopt.bench.contestants import CONTESTANTS
from phashopt.bench.live import LiveTask, Match, matches_of, play
from phashopt.bench.replay import of_few
from phashopt.bench.standings import RIVAL, Line, actions_of, document, gains, lines_of, published, speed_ups, standings
from phashopt.errors import UserError
from phashopt.service.ranges import IntRange
from phashopt.service.spec import load_as
from phashopt.training.datasets import default_data_dir

TASK = Path("studies/live/fashion.toml")
LONGER = "uniform at the cap"
OURS = ("children", "ours")
PACKAGES = ("torch", "optuna", "numpy")
NOTES = """
## How to read this

- The task is `{task}`: a cap of {cap:,} MACs, and as budget B {budget:g} trainings of the longest length at
  the cap. All training counts: of failed and stopped trials, of parents, and of readings where they are taken.
- A contestant's choice is the trial with the highest validation accuracy so far; shown is its accuracy on test images
  that no search saw. Intervals are Student's over seeds, 90%; of one seed there is none.
- **{longer}** is no search: the uniform network trained once for all of a share, each training alone; shown is
  the best on validation images of those that this share or a smaller one pays for. A trial of a search trains for {low}
  to {high} epochs, and children and extensions go on from there.
- `children` is what a study does unless told otherwise; `readings off`, `readings shuffled` and `dead share alone` are
  the same but for that. `ours`, `nothing learnt` and `paper` have no children.
- Compute to beat {rival}: what it took to exceed the accuracy that {rival} ended with, as a share of what
  that needed to reach it first; the median, and seed by seed. Never: with all of B it did not.
- Accepted: at its end more accurate on validation images than every trial before it.
- Matches were played at the commits of the last column; `--keep` took them from the page that was there before.
"""


def main() -> None:
    """Play what is missing, then write the tables."""
    arguments = parsed()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    started = time.perf_counter()
    seeds = list(range(arguments.seeds))
    task = load_as(LiveTask, arguments.task, [f"live.seeds={seeds}", *arguments.overrides])
    name = arguments.name or f"LIVE_{arguments.task.stem.upper()}"
    kept = published(details(name), task, arguments.keep) if arguments.keep else []
    known = {Match(line.arm, line.seed) for line in kept}
    matches = [match for match in matches_of(task, arguments.arm) if match not in known]
    if arguments.play:
        for match in play(task, matches, arguments.storage, arguments.data_dir, arguments.processes, commit=commit()):
            print(f"{match.arm}, seed {match.seed}: done", flush=True)
    played = [line for line in lines_of(task, matches, arguments.storage) if line.over] if matches else []
    order = list(CONTESTANTS)
    lines = sorted([*kept, *played], key=lambda line: (order.index(line.arm), line.seed))
    if not lines:
        raise UserError(f"{arguments.storage} holds no match that is over; leave --no-play out")
    tables: Tables = {
        "Test accuracy of the choice, by share of the budget": accuracies(lines),
        "Seed by seed": differences(lines),
    }
    if rows := action_rows("contestant", actions_of(lines)):
        tables["Trials that did not begin from scratch"] = rows
    told = notes(task, arguments.task) + verdicts(lines)
    found = document(lines, task)
    publish(name, "Searches that train real networks", tables, PACKAGES, started, notes=told, details=found)


def details(name: str) -> dict[str, Any]:
    """What the published page of this name holds beside its tables."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise UserError(f"there is no {path} to keep matches of; leave --keep out")
    found: dict[str, Any] = json.loads(path.read_text())["details"]
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=Path, default=TASK)
    parser.add_argument("--arm", action="append", choices=CONTESTANTS, help="repeat for more; by default all")
    parser.add_argument(
        "--keep", action="append", choices=CONTESTANTS, default=[], help="as published; repeat for more"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--storage", default="sqlite:///live.db", help="where matches are kept")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--data-dir", type=Path, default=default_data_dir())
    parser.add_argument("--no-play", dest="play", action="store_false", help="write what is there")
    parser.add_argument("--name", help="of the page; another cap takes another one, as its own --storage")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="section.key=value")
    arguments = parser.parse_args()
    arguments.arm = arguments.arm or list(CONTESTANTS)
    return arguments


def accuracies(lines: Sequence[Line]) -> list[Row]:
    """One row a contestant."""
    seeds = {arm: sum(each.arm == arm for each in lines) for arm in dict.fromkeys(each.arm for each in lines)}
    return [
        {"contestant": arm, "seeds": seeds[arm], **{share: each.percent for share, each in row.items()}}
        | {"commit": ", ".join(sorted({line.commit for line in lines if line.arm == arm}))}
        for arm, row in standings(lines).items()
    ]


def differences(lines: Sequence[Line]) -> list[Row]:
    """Points of test accuracy at B beyond the two opponents', and the compute to beat the first."""
    beyond = {rival: gains(lines, rival) for rival in (RIVAL, LONGER)}
    ratios = speed_ups(lines)
    return [
        {"contestant": arm}
        | {f"at B, beyond {rival}": points(found[arm]) if arm in found else "" for rival, found in beyond.items()}
        | {f"compute to beat {RIVAL}": times(ratios[arm]) if arm in ratios else ""}
        for arm in dict.fromkeys(each.arm for each in lines)
    ]


def times(ratios: Sequence[float]) -> str:
    """Each, and the median."""
    shown = [f"{ratio:.2f}x" if ratio < float("inf") else "never" for ratio in (median(ratios), *ratios)]
    return f"{shown[0]} ({', '.join(shown[1:])})"


def notes(task: LiveTask, path: Path) -> str:
    """What the tables mean."""
    epochs = task.training.epochs
    assert isinstance(epochs, IntRange)  # a task's is
    cap, budget = round(task.limits.macs or 0), task.live.budget
    return NOTES.format(task=path, cap=cap, budget=budget, longer=LONGER, rival=RIVAL, low=epochs.low, high=epochs.high)


def verdicts(lines: Sequence[Line]) -> str:
    """Whether our searches were worth their compute beside one long training without any."""
    found = gains(lines, LONGER)
    said = []
    for arm in (arm for arm in OURS if arm in found):
        word = "was" if of_few(found[arm]).low > 0 else "was not"
        said.append(f"- **The search {word} worth its compute** ({arm}): at B {points(found[arm])} beyond {LONGER}.\n")
    return "".join(said)


if __name__ == "__main__":
    run("bench_live", main)
