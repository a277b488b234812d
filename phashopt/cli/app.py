"""The commands, each in its room; heavy imports happen when a command runs, so that --help answers at once."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from phashopt.cli import bench, confirm, dashboard, inspect, report, server, study, worker
from phashopt.cli.output import BAD_INPUT, say_wrong

UsageError: Any = typer.BadParameter.__mro__[1]  # the parser's own class has no public name


class OneLineGroup(TyperGroup):
    """Says in one line what is wrong with a command's words, as is said of all other mistakes."""

    def main(self, *words: Any, **settings: Any) -> Any:
        """Run the command that is asked for, and end the process."""
        run: Any = super().main
        try:
            status = run(*words, **{**settings, "standalone_mode": False})
        except UsageError as error:
            if message := error.format_message():  # none where a group was asked for nothing: its help was shown
                command = error.ctx.command_path if error.ctx else "phashopt"
                say_wrong(f"{message.rstrip('.')}; see {command} --help")
            sys.exit(BAD_INPUT)
        sys.exit(status if isinstance(status, int) else 0)


app = typer.Typer(
    cls=OneLineGroup,
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
