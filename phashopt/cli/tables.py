"""A study as rich tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from phashopt.cli.output import LEAST_WIDTH
from phashopt.figures.labels import amount, percent
from phashopt.search import Prediction
from phashopt.service.summary import StudySummary, TrialSummary, counted

DECISIONS_SHOWN = 12
SAFE = 0.95  # chance that a training comes to an end


def study_tables(summary: StudySummary) -> Iterator[RenderableType]:
    """The answer, the front and the latest decisions."""
    yield answer(summary)
    if summary.front:
        by_number = {trial.number: trial for trial in summary.trials}
        yield _trial_table("Front: nothing cheaper is as accurate", [by_number[number] for number in summary.front])
    yield _decisions(summary)


def answer(summary: StudySummary) -> RenderableType:
    """Before and after, as in the paper's Table I."""
    trials = counted(len(summary.trials), len(summary.trials) - len(summary.own))
    states = Text(f"{summary.name}: {trials}; {_states(summary)}")
    rows = list({trial.number: trial for trial in (summary.baseline, summary.best) if trial is not None}.values())
    return Group(states, _trial_table("Before and after", rows)) if rows else states


def foretold(prediction: Prediction) -> str:
    """What trainings of a network should reach, and how many come to nothing where that is worth a word."""
    risk = f"; {1 - prediction.survives:.0%} come to nothing" if prediction.survives < SAFE else ""
    return f"predicted {prediction.value:.4g} (90% of trainings: {prediction.low:.4g} to {prediction.high:.4g}{risk})"


def confirmation_table(rows: list[dict[str, Any]], chosen: int, split: str) -> Table:
    """Means over fresh seeds; the first row is the baseline, `chosen` the one that validation images chose."""
    title, chosen_by = f"Fresh seeds, judged on {split} images", "*: chosen on validation images"
    longer = any(row["epochs"] > rows[0]["epochs"] for row in rows)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    table.caption = chosen_by + "; what trained longer than the baseline gained by that too" * longer
    for column in ("trial", "kernels", "epochs", "accuracy", "n", "MACs", "gain over baseline (90%)"):
        table.add_column(column, justify="left" if column == "kernels" else "right")
    for place, row in enumerate(rows):
        low, high = row["interval"]
        gain = f"{row['gain']:+.2%} ({low:+.2%} to {high:+.2%})"
        table.add_row(
            f"{row['trial']}{', inherited' * (row['start'] == 'inherited')}{'*' * (place == chosen)}",
            row["kernels"],
            str(row["epochs"]),
            percent(row["mean"]) + f" ± {100 * row['std']:.1f}" * (len(row["accuracies"]) > 1),
            str(len(row["accuracies"])),
            amount(row["macs"]),
            "baseline" if row is rows[0] else gain + (", within seed noise" if row["within_seed_noise"] else ""),
        )
    return table


def _trial_table(title: str, trials: list[TrialSummary]) -> Table:
    over = not all(trial.feasible for trial in trials)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    table.caption = "images: seen in training; redund., dupl.: means over layers" + "; *: over the cap" * over
    for column in ("trial", "kernels", "accuracy", "MACs", "params", "epochs", "images", "redund.", "dupl."):
        if column == "kernels":
            table.add_column(column, overflow="fold", min_width=LEAST_WIDTH)
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for trial in trials:
        attrs = trial.attrs
        table.add_row(
            f"{trial.number}{'' if trial.feasible else '*'}",
            str(attrs.get("kernels", "?")),
            "-" if trial.value is None else percent(trial.value),
            amount(attrs["macs"]) if "macs" in attrs else "-",
            amount(attrs["params"]) if "params" in attrs else "-",
            str(trial.epochs_used),
            amount(attrs["images_seen"]) if "images_seen" in attrs else "-",
            *(f"{attrs[key]:.2f}" if key in attrs else "-" for key in ("redundancy.mean", "duplicates.mean")),
        )
    return table


def _decisions(summary: StudySummary) -> Table:
    table = Table(title="Decisions", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for trial in summary.trials[-DECISIONS_SHOWN:]:
        scored = trial.state.lower() if trial.value is None else percent(trial.value)
        table.add_row(str(trial.number), scored, Text(trial.attrs.get("error.message", trial.decision)))
    return table


def _states(summary: StudySummary) -> str:
    states = [trial.state for trial in summary.own]
    return ", ".join(f"{states.count(state)} {state.lower()}" for state in dict.fromkeys(states)) or "none made yet"
