"""`bench`: searches compared with one another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phashopt.cli.options import DataDir, Json
from phashopt.cli.output import console, messages, plain_errors, print_json

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
        from phashopt.training.data import default_data_dir

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
    layers: Annotated[int, typer.Option(min=1, help="Depth of the synthetic networks.")] = 5,
    worlds: Annotated[int, typer.Option(min=2, help="Worlds, each searched once by every arm.")] = 20,
    trials: Annotated[int, typer.Option(min=5, help="Trials a search.")] = 40,
    cap: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the widest network's MACs.")] = 0.25,
    knowledge: Annotated[float, typer.Option(min=0.0, max=1.0, help="What redundancy knows of a width.")] = 0.0,
    interior: Annotated[float, typer.Option(min=0.0, max=1.0, help="Layers whose optimum is inside the grid.")] = 0.0,
    arm: Annotated[list[str] | None, typer.Option(help="An arm to run; repeat for more. Default: all.")] = None,
    processes: Processes = None,
    json: Json = False,
) -> None:
    """Run ours, its ablations, the paper's rule and Optuna's samplers over synthetic worlds, all under one cap."""
    with plain_errors():
        from joblib import cpu_count
        from rich.table import Table

        from phashopt.bench.arms import ARMS
        from phashopt.bench.replay import document, replay, summary
        from phashopt.bench.worlds import Formula
        from phashopt.errors import UserError

        arms = list(arm or ARMS)
        if unknown := [name for name in arms if name not in ARMS]:
            raise UserError(f"there is no arm {unknown[0]!r}; take one of {', '.join(ARMS)}")
        formula = Formula(layers, cap=cap, knowledge=knowledge, interior=interior)
        courses = []
        for course in replay(formula, arms, worlds, trials, processes or cpu_count()):
            courses.append(course)
            messages.print(f"world {course.world + 1} of {worlds}, {course.arm}: {course.reached[-1]:.1%}")
        if json:
            print_json(document(formula, courses, arms))
            return
        columns = summary(courses, arms[0])
        table = Table("arm", *columns, title=f"{layers} layers, cap {cap:.0%}, means over {worlds} worlds")
        for name in arms:
            means = [estimate.mean for estimate in summary(courses, name).values()]
            table.add_row(name, *(f"{mean:.2f}" if mean < 1 else f"{mean:.1f}" for mean in means))
        console.print(table)
