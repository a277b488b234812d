"""The paper's Table I for this study: before and after, with what each costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from phashopt.figures.labels import amount, percent
from phashopt.report.measure import Measured
from phashopt.report.words import kernels, number
from phashopt.service.summary import StudySummary, TrialSummary

RECORDED: dict[str, tuple[str, Callable[[float], str]]] = {
    "MACs per image": ("macs", amount),
    "Parameters": ("params", amount),
    "Training images seen": ("images_seen", amount),
    "Training time, its ancestors' left out, s": ("train_seconds", "{:.1f}".format),
    "Mean redundancy": ("redundancy.mean", "{:.2f}".format),
    "Mean duplicates": ("duplicates.mean", "{:.2f}".format),
}
SHARES = {"Mean redundancy", "Mean duplicates"}  # often zero: a ratio would say nothing
MEASURED: dict[str, tuple[str, Callable[[float], str]]] = {
    "Time of an epoch, s *": ("epoch_seconds", "{:.3g}".format),
    "Latency of an image, ms *": ("latency_ms", "{:.3g}".format),
    "Peak memory of a training step, MB *": ("step_bytes", lambda size: f"{size / 1e6:.1f}"),
}


@dataclass(frozen=True)
class Change:
    """One row of the before-and-after table, as text; `change` is empty where it says nothing."""

    quantity: str
    before: str
    after: str
    change: str


def before_after(summary: StudySummary, measured: Mapping[str, Measured]) -> list[Change]:
    """Accuracy, its gap and cost of baseline and best; what neither has is left out.

    `measured` is what was found on this machine, by role: those rows are marked with a star.
    """
    trials = summary.baseline, summary.best
    after = measured.get("best", Measured())
    before = measured.get("baseline", after)  # one trial may be both
    validation = [number(trial.value) if trial else None for trial in trials]
    training = [number(entry.training_accuracy) for entry in (before, after)]
    gaps = [_difference(*pair) for pair in zip(training, validation, strict=True)]
    rows = [_points("Validation accuracy", validation)]
    if any(share is not None for share in training):
        rows += [_points("Training accuracy *", training), _gap(gaps)]
    rows.append(Change("Kernels per layer", _kernels(trials[0]), _kernels(trials[1]), ""))
    rows += _row("Epochs, its ancestors' included", "{:.0f}".format, [_epochs(trial) for trial in trials])
    for quantity, (key, show) in RECORDED.items():
        rows += _row(quantity, show, [number(trial.attrs.get(key)) if trial else None for trial in trials])
    for quantity, (key, show) in MEASURED.items():
        rows += _row(quantity, show, [number(getattr(entry, key)) for entry in (before, after)])
    return rows


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _row(quantity: str, show: Callable[[float], str], pair: list[float | None]) -> list[Change]:
    if pair == [None, None]:
        return []
    before, after = ("-" if value is None else show(value) for value in pair)
    return [Change(quantity, before, after, _shift(*pair) if quantity in SHARES else _ratio(*pair))]


def _points(quantity: str, pair: list[float | None]) -> Change:
    old, new = pair
    change = "" if old is None or new is None else f"{100 * (new - old):+.1f} points"
    return Change(quantity, percent(old), percent(new), change)


def _gap(gaps: list[float | None]) -> Change:
    before, after = ("-" if gap is None else f"{100 * gap:.1f} points" for gap in gaps)
    old, new = gaps
    change = "" if old is None or new is None else f"{100 * (new - old):+.1f} points"
    return Change("Gap, training to validation *", before, after, change)


def _shift(before: float | None, after: float | None) -> str:
    return "" if before is None or after is None else f"{after - before:+.2f}"


def _ratio(before: float | None, after: float | None) -> str:
    if before == after:
        return "same"
    if not before or after is None:
        return ""
    return f"{100 * (after / before - 1):+.0f}%"


def _epochs(trial: TrialSummary | None) -> float | None:
    """Those that its kernels were trained for, in whatever trials."""
    used = number(trial.attrs.get("epochs_used")) if trial else None
    return used if trial is None or used is None else used + trial.epochs_inherited


def _kernels(trial: TrialSummary | None) -> str:
    return (kernels(trial) if trial else "") or "-"
