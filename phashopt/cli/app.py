"""The commands, each in its room; heavy imports happen when a command runs, so that --help answers at once."""

from __future__ import annotations

import typer

from phashopt.cli import bench, confirm, dashboard, inspect, report, server, study, worker

app = typer.Typer(
    name="phashopt",
    help="How many kernels does each layer need, how long should I train, and why?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(study.app, name="study")
app.add_typer(bench.app, name="bench")
app.command("worker")(worker.run)
app.command("report")(report.run)
app.command("confirm")(confirm.run)
app.command("inspect")(inspect.run)
app.command("dashboard")(dashboard.run)
app.command("server")(server.run)


def main() -> None:
    """Run the command line."""
    app(prog_name="phashopt")
