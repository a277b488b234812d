"""The page's tables of trials: the front, the best, the way there, the failures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from phashopt.figures.labels import amount, percent
from phashopt.figures.view import COMPLETE
from phashopt.report.words import STATES, kernels, number
from phashopt.service.summary import StudySummary, TrialSummary, pareto_front

TOP = 12


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


def front_rows(summary: StudySummary) -> list[Row]:
    """The trials more accurate than every cheaper one, cheapest first: whatever their MACs, within all other caps."""
    priced = [trial for trial in summary.own if _is_priced(trial) and _keeps_other_caps(summary, trial)]
    chosen = set(pareto_front(priced))
    return all_rows(
        summary,
        sorted((trial for trial in priced if trial.number in chosen), key=lambda trial: float(trial.attrs["macs"])),
    )


def best_rows(summary: StudySummary) -> list[Row]:
    """The most accurate finished trials that keep within the caps, and the baseline."""
    finished = [trial for trial in summary.own if _score(trial) > -math.inf]
    shown = sorted(finished, key=lambda trial: (-_score(trial), trial.number))[:TOP]
    if summary.baseline is not None and summary.baseline not in shown:
        shown.append(summary.baseline)
    return all_rows(summary, shown)


def milestones(summary: StudySummary) -> list[Row]:
    """The baseline, and each trial that was more accurate than every feasible one before it: the way to the best."""
    record = -math.inf
    chosen = []
    for trial in summary.own:
        if _score(trial) > record or trial is summary.baseline:
            chosen.append(trial)
        record = max(record, _score(trial))
    return all_rows(summary, chosen)


def all_rows(summary: StudySummary, trials: list[TrialSummary]) -> list[Row]:
    """The trials in text."""
    marked = {trial.number: role for role, trial in (("baseline", summary.baseline), ("best", summary.best)) if trial}
    settings = summary.settings
    return [_row(trial, marked.get(trial.number, ""), settings) for trial in trials]


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
        settings=[setting(trial.params.get(name)) for name in settings],
        decision=trial.decision,
        error=": ".join(str(attrs[key]) for key in ("error.type", "error.message") if key in attrs),
    )


def _is_priced(trial: TrialSummary) -> bool:
    """Whether a trial has finished with an accuracy and a cost."""
    return trial.state == COMPLETE and number(trial.value) is not None and (number(trial.attrs.get("macs")) or 0) > 0


def _keeps_other_caps(summary: StudySummary, trial: TrialSummary) -> bool:
    caps = {key: cap for key, cap in summary.spec.get("limits", {}).items() if key != "macs" and cap is not None}
    return all((number(trial.attrs.get(key)) or 0) <= cap for key, cap in caps.items())


def _score(trial: TrialSummary) -> float:
    """Accuracy of a finished trial within the caps, else minus infinity."""
    value = number(trial.value)
    return value if value is not None and trial.state == COMPLETE and trial.feasible else -math.inf


def _kernels(trial: TrialSummary | None) -> str:
    return (kernels(trial) if trial else "") or "-"


def setting(value: Any) -> str:
    """A parameter's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
