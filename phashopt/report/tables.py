"""The page's tables: before and after, the best trials, the decisions, the failures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phashopt.figures.labels import amount, percent
from phashopt.figures.view import COMPLETE
from phashopt.report.words import STATES, kernels, number
from phashopt.service.summary import StudySummary, TrialSummary

TOP = 12
QUANTITIES: dict[str, tuple[str, Callable[[float], str]]] = {
    "MACs per image": ("macs", amount),
    "Parameters": ("params", amount),
    "Epochs": ("epochs_used", "{:.0f}".format),
    "Training images seen": ("images_seen", amount),
    "Training time, seconds": ("train_seconds", "{:.1f}".format),
    "Mean redundancy": ("redundancy.mean", "{:.2f}".format),
    "Mean duplicates": ("duplicates.mean", "{:.2f}".format),
}


@dataclass(frozen=True)
class Change:
    """One row of the before-and-after table, as text; `change` is empty where it says nothing."""

    quantity: str
    before: str
    after: str
    change: str


@dataclass(frozen=True)
class Row:
    """One trial as text; `settings` are its parameters other than widths, in the order of `StudySummary.settings`."""

    number: int
    role: str
    state: str
    accuracy: str
    kernels: str
    macs: str
    params: str
    epochs: str
    images: str
    redundancy: str
    settings: list[str]
    decision: str
    error: str


def before_after(summary: StudySummary) -> list[Change]:
    """The paper's Table I for this study, with what it cost; what neither trial recorded is left out."""
    before, after = summary.baseline, summary.best
    rows = [_accuracy_change(before, after), Change("Kernels per layer", _kernels(before), _kernels(after), "")]
    for quantity, (key, show) in QUANTITIES.items():
        old, new = (number(trial.attrs.get(key)) if trial else None for trial in (before, after))
        if old is not None or new is not None:
            before_text, after_text = ("-" if value is None else show(value) for value in (old, new))
            rows.append(Change(quantity, before_text, after_text, _ratio(old, new)))
    return rows


def best_rows(summary: StudySummary) -> list[Row]:
    """The most accurate finished trials that keep within the caps, and the baseline."""
    finished = [trial for trial in summary.trials if _score(trial) > -math.inf]
    shown = sorted(finished, key=lambda trial: (-_score(trial), trial.number))[:TOP]
    if summary.baseline is not None and summary.baseline not in shown:
        shown.append(summary.baseline)
    return all_rows(summary, shown)


def milestones(summary: StudySummary) -> list[Row]:
    """The baseline, and each trial that was more accurate than every feasible one before it: the way to the best."""
    record = -math.inf
    chosen = []
    for trial in summary.trials:
        if _score(trial) > record or trial is summary.baseline:
            chosen.append(trial)
        record = max(record, _score(trial))
    return all_rows(summary, chosen)


def all_rows(summary: StudySummary, trials: list[TrialSummary]) -> list[Row]:
    """The trials in text."""
    marked = {trial.number: role for role, trial in (("baseline", summary.baseline), ("best", summary.best)) if trial}
    return [_row(trial, marked.get(trial.number, ""), summary.settings) for trial in trials]


def _row(trial: TrialSummary, role: str, settings: list[str]) -> Row:
    attrs = trial.attrs
    over = trial.state == COMPLETE and not trial.feasible
    redundancy = number(attrs.get("redundancy.mean"))
    return Row(
        number=trial.number,
        role=role,
        state="over a cap" if over else STATES.get(trial.state, trial.state),
        accuracy=percent(number(trial.value)),
        kernels=_kernels(trial),
        macs=amount(number(attrs.get("macs"))),
        params=amount(number(attrs.get("params"))),
        epochs=str(trial.epochs_used),
        images=amount(number(attrs.get("images_seen"))),
        redundancy="-" if redundancy is None else f"{redundancy:.2f}",
        settings=[_setting(trial.params.get(name)) for name in settings],
        decision=trial.decision,
        error=": ".join(str(attrs[key]) for key in ("error.type", "error.message") if key in attrs),
    )


def _score(trial: TrialSummary) -> float:
    """Accuracy of a finished trial within the caps, else minus infinity."""
    value = number(trial.value)
    return value if value is not None and trial.state == COMPLETE and trial.feasible else -math.inf


def _accuracy_change(before: TrialSummary | None, after: TrialSummary | None) -> Change:
    old, new = (number(trial.value) if trial else None for trial in (before, after))
    change = "" if old is None or new is None else f"{100 * (new - old):+.1f} points"
    return Change("Validation accuracy", percent(old), percent(new), change)


def _kernels(trial: TrialSummary | None) -> str:
    return (kernels(trial) if trial else "") or "-"


def _ratio(before: float | None, after: float | None) -> str:
    if before == after:
        return "same"
    if not before or after is None:
        return ""
    return f"{100 * (after / before - 1):+.0f}%"


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
