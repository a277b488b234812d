"""What the whole study cost, by kind."""

from __future__ import annotations

from dataclasses import dataclass

from phashopt.figures.compute import seconds_by_kind
from phashopt.figures.labels import amount
from phashopt.report.words import number
from phashopt.service.summary import StudySummary

FAILED = "FAIL"


@dataclass(frozen=True)
class Spent:
    """One kind of spending over all trials, as text."""

    kind: str
    seconds: str
    share: str
    macs: str


def spending(summary: StudySummary) -> list[Spent]:
    """Seconds by kind, their shares, and the MACs of training and readings together; empty before a trial has ended."""
    by_kind = seconds_by_kind(summary.view())
    if by_kind.empty:
        return []
    failed = [trial.number for trial in summary.trials if trial.state == FAILED]
    lost = by_kind[by_kind.index.isin(failed)].to_numpy().sum()
    kinds = {
        str(kind): float(total) for kind, total in by_kind.drop(index=by_kind.index.intersection(failed)).sum().items()
    }
    kinds["failed trials"] = float(lost)
    total = sum(kinds.values())
    macs = sum(number(trial.attrs.get("train_macs")) or 0.0 for trial in summary.trials)
    rows = [Spent(kind, f"{spent:.1f}", f"{spent / total:.1%}" if total else "-", "") for kind, spent in kinds.items()]
    return [*rows, Spent("together", f"{total:.1f}", "100.0%" if total else "-", amount(macs) if macs else "-")]
