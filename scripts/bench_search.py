"""The search beside its ablations, the paper's rule and Optuna's samplers, and how long one proposal takes.

`python scripts/bench_search.py` runs over synthetic worlds and over every table in studies/results/tables, and writes
studies/results/SEARCH.md and SEARCH.json. Every search that is over is kept in `--work`, and the same command goes on.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import product
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import TrialState, create_trial
from results import RESULTS, Ledger, Row, Tables, action_rows, publish, seconds

from phashopt.bench.actions import Taken
from phashopt.bench.arms import BELIEF, CHILDREN, FIRST_ORDER
from phashopt.bench.replay import RESAMPLES, Course, Estimate, Replayed, counts, estimate, in_words, replay, summary
from phashopt.bench.search import coding
from phashopt.bench.worlds import Formula, SyntheticWorld, SyntheticWorlds, World, tight
from phashopt.search import PHashSampler
from phashopt.search.space import LENGTH
from phashopt.trace import TRACE_KEY, Trace

TRIALS = 40
OURS = ("model", "readings off", "readings shuffled", "nothing learnt", "paper", CHILDREN)
RIVALS = ("TPE", "GP")
BELIEVED = tuple(f"{arm}{BELIEF}" for arm in ("model", "TPE"))
ARMS = (*OURS, *RIVALS, "random", *BELIEVED)
WORLDS: dict[str, Formula] = {
    **{f"{layers} layers": Formula(layers) for layers in (3, 5, 8, 13)},
    "5 layers, half of them with their optimum inside": Formula(5, interior=0.5),
}
CAPS = (0.5, 0.75)
PAIRED = ("model", "readings off", "readings shuffled")  # differ by so little that more worlds are needed
TABLE_PAIRS = 48  # of a recorded table, which holds a few worlds only: more would be the same ones again
DIGITS = 4
LARGE = 2  # from which a number is shown with one decimal
COLUMNS = ("regret at 10", "regret at 20", "regret at 40", "trials to 80%", "trials to 90%", "compute to 90%")
LAYERS = (5, 13)
FINISHED = (100, 1_000, 10_000)
PRUNED = (0.0, 0.5)  # share of the finished trials, stopped at half of their lengths
PROPOSALS = 30
PACKAGES = ("optuna", "numpy", "scipy")
Make = Callable[[int], World]

HOW_TO_READ = """
## How to read this

- Every arm searches {trials} trials; regret is normalised: 0 is the best network under the cap, 1 the median one as
  large as the cap allows, judged without noise, in a recorded table by the seed held out. The choice is the trial with
  the highest accuracy seen; `by belief`, the one that our model of the same trials and their readings, for which rivals
  do not pay, ranks first, as `confirm` does. A target that was not reached counts twice all trials, and twice the most
  compute of any search in its world. Means over {worlds} searches, 90% bootstrap intervals in brackets; compute in
  longest trainings at the cap.
- The seconds above are those of the last sitting: searches that were over before it were not run again.
- Optuna's samplers know the cap: their proposals are moved under it and filled up to it. Their first trial is ours.
- In the synthetic worlds (error a sum of powers of the widths, a penalty where a layer is narrower than the one before;
  cap 25% of the widest network, 2 to 16 epochs, noise 0.035 nats, 3% silent failures) the readings know nothing unless
  it is said. **The model was developed on such worlds of 5 and 8 layers**: they show that it works, not that it would
  elsewhere.
- `readings shuffled` within width, and `readings off`, are what the model must not lose to: what it reads may be worth
  nothing. They differ by less than searches do from world to world: the second table pairs many more.
- `children` is the model where trials may build on others: in a synthetic world they can inherit from finished ones, in
  a recorded table go on with those whose stable phase is recorded. Accepted: at its end more accurate than every trial
  before it.
- Orders that need no search say how wide layers should be; whatever else a table varies is drawn, anew in each search.
- Of a recorded table the regret that counts is what exceeds that of a search that had trained everything (below): what
  is less than it is luck in the choice, not in the search.
"""


def main() -> None:
    """Run what is missing, then write the tables."""
    arguments = parsed()
    started = time.perf_counter()
    arguments.work.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(arguments.work / "searches.jsonl")
    makes = {name: SyntheticWorlds(formula) for name, formula in WORLDS.items()} | dict(recorded(arguments.tables))
    for name, make in makes.items() if arguments.search else ():
        search(ledger, name, make, arguments)
    speeds = Ledger(arguments.work / "proposals.jsonl")
    for layers, finished, pruned in product(LAYERS, FINISHED, PRUNED):
        for children in (False, True):
            case = {"layers": layers, "finished": finished, "pruned": f"{pruned:.0%}", "children": children}
            if not speeds.has(**case):
                speeds.add(case | proposal_speed(layers, finished, pruned, children=children))
    shared = {
        name: [course for course in courses_of(ledger, name) if course.world < arguments.worlds] for name in makes
    }
    tables: Tables = {
        "Trials to 90%, against the better of TPE and GP": [against(name, courses) for name, courses in shared.items()],
        "What reading costs: regret over all trials, paired": [
            paired(name, courses_of(ledger, name)) for name in makes
        ],
    }
    tables["The choice among what was trained: by the highest accuracy, and by belief"] = [
        choices(name, courses) for name, courses in shared.items()
    ]
    tables["Trials that did not begin from scratch, where trials may build on others"] = action_rows(
        "worlds", {name: taken_by(CHILDREN, courses) for name, courses in shared.items()}
    )
    tables |= {name: rows(courses) for name, courses in shared.items()}
    order = itemgetter("layers", "finished", "pruned", "children")
    tables["One proposal, storage excluded"] = sorted((line for line in speeds.lines if "children" in line), key=order)
    notes = HOW_TO_READ.format(trials=TRIALS, worlds=arguments.worlds)
    notes += verdicts(shared, makes)
    publish("SEARCH", "The search", tables, PACKAGES, started, notes=notes, details=ledger.lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=16)
    parser.add_argument("--paired", type=int, default=144, help="worlds of the arms that are compared pair by pair")
    parser.add_argument("--no-search", dest="search", action="store_false", help="write what is there")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--tables", type=Path, default=RESULTS / "tables", help="a folder of recorded tables")
    parser.add_argument("--work", type=Path, default=Path("search"), help="where searches are kept as they end")
    return parser.parse_args()


def recorded(folder: Path) -> Iterator[tuple[str, Replayed]]:
    """Every table, under a cap that leaves enough of it to search in."""
    for path, cap in product(sorted(folder.glob("*.parquet")), CAPS):
        yield f"{path.stem}, recorded, cap {cap:.0%}", Replayed(path, cap)


def search(ledger: Ledger, name: str, make: Make, arguments: argparse.Namespace) -> None:
    """All arms in all worlds of one kind."""
    pairs = TABLE_PAIRS if isinstance(make, Replayed) else arguments.paired
    rest = [arm for arm in (*ARMS, *(FIRST_ORDER if isinstance(make, Replayed) else ())) if arm not in PAIRED]
    known = {(line["world"], line["arm"]) for line in ledger.lines if line["kind"] == name}
    searches = [*product(range(pairs), PAIRED), *product(range(arguments.worlds), rest)]
    if missing := [search for search in searches if search not in known]:
        for course in replay(make, missing, TRIALS, arguments.processes):
            numbers = {part: np.round(getattr(course, part), DIGITS).tolist() for part in ("reached", "compute")}
            taken = [asdict(action) for action in course.actions]
            ledger.add({"kind": name, "arm": course.arm, "world": course.world, **numbers, "actions": taken})


def courses_of(ledger: Ledger, name: str) -> list[Course]:
    """What is known of one kind of worlds."""
    lines = {(line["arm"], line["world"]): line for line in ledger.lines if line["kind"] == name}  # the last of each
    return [
        Course(
            line["arm"],
            line["world"],
            line["reached"],
            line["compute"],
            [Taken(**action) for action in line.get("actions", ())],
        )
        for line in lines.values()
    ]


def rows(courses: list[Course]) -> list[Row]:
    """One an arm."""
    known = {course.arm for course in courses}
    arms = [arm for arm in (*ARMS, *FIRST_ORDER) if arm in known]
    found = {arm: summary(courses, arm) for arm in arms}
    return [{"arm": arm, **{column: shown(found[arm][column]) for column in COLUMNS}} for arm in arms]


def against(name: str, courses: list[Course]) -> Row:
    """Ours and its twins as shares of the better rival's trials and compute, and of TPE's regret over all trials."""
    found = {arm: summary(courses, arm) for arm in ARMS}
    best = min(RIVALS, key=lambda arm: found[arm]["trials to 90%"].mean)
    row: Row = {"worlds": name, "better rival": best}
    for arm in ("model", "readings off", "nothing learnt"):
        for measure in ("trials to 90%", "compute to 90%"):
            row[f"{arm}, {measure.split()[0]}"] = f"{found[arm][measure].mean / found[best][measure].mean:.2f}x"
    row["regret over all trials, model / TPE"] = f"{area(courses, 'model') / area(courses, 'TPE'):.2f}"
    return row


def paired(name: str, courses: list[Course]) -> Row:
    """Ours with readings, and with readings that know nothing, over ours without any: ratios and differences."""
    regrets = {
        arm: {course.world: 1 - float(np.mean(course.reached)) for course in courses if course.arm == arm}
        for arm in PAIRED
    }
    worlds = sorted(set.intersection(*map(set, regrets.values())))
    areas = {arm: np.array([regrets[arm][world] for world in worlds]) for arm in PAIRED}
    off = areas["readings off"]
    row: Row = {"worlds": name, "pairs": len(worlds), "regret without readings": shown(estimate(off.tolist()))}
    for arm in ("model", "readings shuffled"):
        picks = np.random.default_rng(0).integers(len(worlds), size=(RESAMPLES, len(worlds)))
        low, high = np.quantile(areas[arm][picks].mean(1) / off[picks].mean(1), [0.05, 0.95])
        ratio = Estimate(float(areas[arm].mean() / off.mean()), float(low), float(high))
        row[f"{arm} / off"] = shown(ratio)
    return row


def choices(name: str, courses: list[Course]) -> Row:
    """What a search is worth, and what the choice among its trials, told apart."""
    row: Row = {"worlds": name}
    for column in ("regret at 40", "trials to 90%", "compute to 90%"):
        for arm in BELIEVED:
            plain = arm.removesuffix(BELIEF)
            by_accuracy, by_belief = (summary(courses, each)[column].mean for each in (plain, arm))
            row[f"{plain}, {column}"] = f"{by_accuracy:.2f} -> {by_belief:.2f}"
    return row


def taken_by(arm: str, courses: list[Course]) -> list[Taken]:
    """The trials of all of its searches that went on from others."""
    return [action for course in courses if course.arm == arm for action in course.actions]


def area(courses: list[Course], arm: str) -> float:
    """Mean regret over all trials of all searches."""
    return float(np.mean([1 - np.array(course.reached) for course in courses if course.arm == arm]))


def verdicts(shared: dict[str, list[Course]], makes: dict[str, Any]) -> str:
    """Which recorded tables prove anything (rules of the comparison)."""
    lines = []
    for name, make in makes.items():
        if isinstance(make, Replayed):
            found = counts(make, shared[name])
            word = "counts" if found["counts"] else "does not count"
            lines.append(f"- **{name}: {word}.** {in_words(found)}")
    return "\n".join([*lines, ""])


def shown(found: Estimate) -> str:
    """Mean and interval."""
    digits = 1 if found.mean >= LARGE else 2
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def proposal_speed(layers: int, finished: int, pruned: float, *, children: bool) -> Row:
    """Milliseconds of `sample_relative` after so many finished trials, all of them read, a share of them stopped.

    All trials are from scratch; where `children` may be proposed, these are weighed too.
    """
    world = SyntheticWorld(Formula(layers), 0)
    axes = {name: list(axis.values) for name, axis in world.space.axes.items()}
    sampler = PHashSampler(
        0,
        widths=list(world.space.widths),
        limits=world.space.limits,
        grid=axes,
        space=world.distributions,
        inherit=children,
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    code, rng = coding(world.space), np.random.default_rng(0)
    points = [tight(world.space, rng) for _ in range(min(finished, 500))]
    for number in range(finished):
        point = points[number % len(points)] | {LENGTH: int(rng.integers(2, 17))}
        trace = world.train(point, number).trace
        stopped = rng.random() < pruned
        if stopped:
            trace = Trace(trace.epochs[: 1 + len(trace.epochs) // 2])
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if stopped else TrialState.COMPLETE,
                params=code.encode(point),
                distributions=world.distributions,
                value=None if stopped else trace.epochs[-1].accuracy,
                system_attrs={TRACE_KEY: trace.to_json()},
            )
        )
    times = []
    for _ in range(PROPOSALS + 1):
        number = study._storage.create_new_trial(study._study_id)
        trial = study._storage.get_trial(number)
        run = partial(sampler.sample_relative, study, trial, world.distributions)
        times.append(1000 * seconds(torch.device("cpu"), run))
    rest = times[1:]  # the first decodes all trials once
    return {
        "first ms": round(times[0], 1),
        "median ms": round(float(np.median(rest)), 1),
        "p95 ms": round(float(np.quantile(rest, 0.95)), 1),
    }


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    main()
