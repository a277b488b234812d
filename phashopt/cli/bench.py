"""`bench`: searches compared with one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phashopt.cli.options import DataDir, Json
from phashopt.cli.output import console, messages, plain_errors, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from phashopt.bench.actions import Taken
    from phashopt.bench.replay import Course
    from phashopt.bench.standings import Line

app = typer.Typer(no_args_is_help=True, help="Compare searches.")


Task = Annotated[Path, typer.Argument(help="A spec with a table of what to do.", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="section.key=value; repeat for more.")]
Processes = Annotated[int | None, typer.Option(min=1, help="Default: one a core.")]


@app.command()
def record(
    task: Task,
    out: Annotated[
        Path | None, typer.Option(help="The Parquet file.  [default: NAME.parquet]", show_default=False)
    ] = None,
    overrides: Overrides = None,
    processes: Processes = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Train every configuration and seed that a task file asks for; killed, it goes on where it was."""
    with plain_errors():
        from joblib import cpu_count

        from phashopt.bench.record import Recording
        from phashopt.bench.task import RecordTask
        from phashopt.service.spec import load_as
        from phashopt.training.datasets import default_data_dir

        asked = load_as(RecordTask, task, overrides or ())
        path = out or Path(f"{asked.study.name}.parquet")
        recording = Recording(asked, path, data_dir or default_data_dir())
        for recorded in recording.record(processes or cpu_count()):
            (network, seed), share = recorded.job, recorded.done / recorded.jobs
            messages.print(f"{share:6.1%}  network {network}, seed {seed}: {recorded.accuracy:.1%}")
        if json:
            print_json({"table": str(path)})
        else:
            console.print(f"{path} is recorded.")


@app.command()
def replay(
    table: Annotated[
        Path | None, typer.Argument(help="A recorded table; without one, synthetic worlds.", show_default=False)
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=2, help="Depth of the synthetic networks.  [default: 5]", show_default=False)
    ] = None,
    worlds: Annotated[int, typer.Option(min=2, help="Searches of each arm, each in a world of its own.")] = 20,
    trials: Annotated[int, typer.Option(min=5, help="Trials a search.")] = 40,
    cap: Annotated[
        float,
        typer.Option(min=0.01, max=1.0, help="Share of the MACs of the widest network; of the dearest in a table."),
    ] = 0.25,
    knowledge: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="What redundancy knows of a synthetic width.")
    ] = None,
    interior: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Synthetic layers whose optimum is inside the grid.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            help="An arm, or SAMPLER+PRUNER by Optuna's names or module:Class; with ', by belief' behind it our model "
            "chooses among its trials; repeat for more."
        ),
    ] = None,
    processes: Processes = None,
    json: Json = False,
) -> None:
    """Run ours, its ablations, the paper's rule and Optuna's samplers over a table or synthetic worlds, under one cap.

    A table is searched on its search seeds and judged by the one held out.
    """
    with plain_errors():
        from dataclasses import asdict

        from joblib import cpu_count

        from phashopt.bench.arms import ARMS, CHILDREN, FIRST_ORDER, make_arm
        from phashopt.bench.replay import Replayed, counts, document, in_words
        from phashopt.bench.replay import replay as courses_of
        from phashopt.bench.worlds import Formula, SyntheticWorlds
        from phashopt.errors import UserError

        of_worlds = {"layers": layers, "knowledge": knowledge, "interior": interior}
        given = [name for name, value in of_worlds.items() if value is not None]
        if table and given:
            raise UserError(f"--{given[0]} is of synthetic worlds: leave it out, or the table")
        formula = Formula(layers or 5, cap=cap, knowledge=knowledge or 0.0, interior=interior or 0.0)
        replayed = Replayed(table, cap) if table else None
        every = [name for name in ARMS if not (replayed and name == CHILDREN)]  # the model itself, in a table
        arms = [*dict.fromkeys([*(arm or every), *(FIRST_ORDER if replayed else ())])]
        make = replayed or SyntheticWorlds(formula)
        if replayed:
            messages.print(f"{table}: {replayed(0).in_words}")
        for name in arms:
            make_arm(name, make(0), 0, trials)
        courses = []
        for course in courses_of(make, product(range(worlds), arms), trials, processes or cpu_count()):
            courses.append(course)
            messages.print(f"world {course.world + 1} of {worlds}, {course.arm}: {course.reached[-1]:.1%}")
        verdict = counts(replayed, courses) if replayed else None
        if json:
            what = {"table": str(table), "cap": cap, **(verdict or {})} if table else {"formula": asdict(formula)}
            print_json({**what, **document(courses, arms)})
            return
        title = f"{table.name if table else f'{formula.layers} layers'}, cap {cap:.0%}, means over {worlds} searches"
        console.print(_table(courses, arms, title))
        _print_actions(
            {name: [each for course in courses if course.arm == name for each in course.actions] for name in arms}
        )
        if verdict:
            console.print(f"The table {'counts' if verdict['counts'] else 'does not count'}: {in_words(verdict)}")


@app.command()
def live(
    task: Task,
    storage: Annotated[
        str | None, typer.Option(help="Database URL.  [default: sqlite:///NAME-live.db]", show_default=False)
    ] = None,
    arm: Annotated[list[str] | None, typer.Option(help="Who takes part; repeat for more. Default: all.")] = None,
    play: Annotated[bool, typer.Option(help="Train what is missing, or only show what is there.")] = True,
    overrides: Overrides = None,
    processes: Processes = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Let searches train real networks at equal compute; interrupted, it goes on where it was."""
    with plain_errors():
        from joblib import cpu_count

        from phashopt.bench.contestants import CONTESTANTS
        from phashopt.bench.live import LiveTask, matches_of
        from phashopt.bench.live import play as played
        from phashopt.bench.standings import actions_of, document, lines_of
        from phashopt.errors import UserError
        from phashopt.service.spec import load_as
        from phashopt.training.datasets import default_data_dir

        asked = load_as(LiveTask, task, overrides or ())
        url = storage or f"sqlite:///{asked.study.name}-live.db"
        arms = list(arm or CONTESTANTS)
        if unknown := [name for name in arms if name not in CONTESTANTS]:
            raise UserError(f"there is no {unknown[0]!r}; take one of {', '.join(CONTESTANTS)}")
        matches = matches_of(asked, arms)
        if play:
            for match in played(asked, matches, url, data_dir or default_data_dir(), processes or cpu_count()):
                messages.print(f"{match.arm}, seed {match.seed}: done")
        begun = lines_of(asked, matches, url)
        lines = [line for line in begun if line.over]
        if len(lines) < len(begun):
            messages.print(f"{len(begun) - len(lines)} of {len(begun)} matches are not over yet: they are left out")
        if json:
            print_json(document(lines, asked))
        else:
            console.print(_standings(lines, asked.study.name))
            _print_actions(actions_of(lines))


def _standings(lines: Sequence[Line], name: str) -> Table:
    from statistics import median

    from rich.table import Table

    from phashopt.bench.standings import RIVAL, speed_ups, standings

    rows, ratios = standings(lines), speed_ups(lines)
    shares = next(iter(rows.values()), {})
    table = Table("contestant", *shares, f"compute to beat {RIVAL} (median)", title=f"{name}: test accuracy")
    for arm, row in rows.items():
        table.add_row(
            arm,
            *(each.percent if each.mean else "-" for each in row.values()),  # nothing had finished
            _times(median(ratios[arm])) if arm in ratios else "",
        )
    return table


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < float("inf") else "never"


def _print_actions(actions: Mapping[str, Sequence[Taken]]) -> None:
    """Nothing where every trial began from scratch."""
    from rich.table import Table

    from phashopt.bench.actions import totals

    columns = ("", "action", "trials", "accepted", "gain over the parent", "of those accepted")
    table = Table(*columns, title="Trials that did not begin from scratch")
    for name, every in actions.items():
        for kind, total in totals(every).items():
            accepted = f"{total['accepted_gain']:+.2%}" if total["accepted"] else ""
            table.add_row(name, kind, str(total["trials"]), str(total["accepted"]), f"{total['gain']:+.2%}", accepted)
    if table.row_count:
        console.print(table)


def _table(courses: Sequence[Course], arms: Sequence[str], title: str) -> Table:
    from rich.table import Table

    from phashopt.bench.replay import summary

    table = Table("", "arm", "mean", "90% interval", title=title)
    summaries = {arm: summary(courses, arm) for arm in arms}
    for measure in summaries[arms[0]]:
        for arm in arms:
            mean, low, high = summaries[arm][measure]
            shown = measure if arm == arms[0] else ""
            table.add_row(shown, arm, _short(mean), f"{_short(low)} to {_short(high)}", end_section=arm == arms[-1])
    return table


def _short(number: float) -> str:
    return f"{number:.2f}" if abs(number) < 1 else f"{number:.1f}"
