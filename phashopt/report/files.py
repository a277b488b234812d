"""The report's tables as CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from phashopt.figures.belief import Belief
from phashopt.report.comparison import before_after
from phashopt.report.exhibit import Exhibit
from phashopt.report.spending import spending
from phashopt.report.tables import front_rows
from phashopt.service.summary import StudySummary
from phashopt.trace import READING_FIELDS, SCALARS

READ = ("redundancy", "duplicates", "dead", "distinct")


def write_tables(summary: StudySummary, exhibits: Sequence[Exhibit], belief: Belief | None, folder: Path) -> None:
    """Trials, the front, before and after, spending, every layer of every trial, epochs of both, what is believed."""
    folder.mkdir(parents=True, exist_ok=True)
    changes = before_after(summary, {exhibit.role: exhibit.measured for exhibit in exhibits})
    tables = {
        "trials": summary.table(),
        "front": _frame(front_rows(summary)),
        "before_after": _frame(changes),
        "spending": _frame(spending(summary)),
        "layers": _layers(summary),
        "epochs": _epochs(exhibits),
        **({"belief": _belief(belief)} if belief else {}),
    }
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)


def _frame(rows: Sequence[object]) -> pd.DataFrame:
    return pd.DataFrame([vars(row) for row in rows])


def _layers(summary: StudySummary) -> pd.DataFrame:
    """One row a trial and layer: its kernels and its reading at the end."""
    names = summary.width_names
    rows = [
        {
            "number": trial.number,
            "layer": name,
            "kernels": trial.params[name],
            **{key: trial.attrs.get(f"{key}.{name}") for key in READ},
        }
        for trial in summary.trials
        for name in names
        if name in trial.params
    ]
    return pd.DataFrame(rows, columns=["number", "layer", "kernels", *READ])


def _epochs(exhibits: Sequence[Exhibit]) -> pd.DataFrame:
    """One row an epoch of baseline and best, with every layer's readings."""
    rows = [
        {
            "role": exhibit.role,
            "number": exhibit.trial.number,
            "epoch": epoch.number,
            **{scalar: getattr(epoch, scalar) for scalar in SCALARS},
            **{
                f"{quantity}.{name}": getattr(reading, quantity)
                for name, reading in epoch.readings.items()
                for quantity in READING_FIELDS
            },
        }
        for exhibit in exhibits
        for epoch in exhibit.trial.trace.epochs
    ]
    return pd.DataFrame(rows, columns=None if rows else ["role", "number", "epoch", *SCALARS])


def _belief(belief: Belief) -> pd.DataFrame:
    """One row a layer and width: errors expected as a share of the reference trial's, with their 90% interval."""
    parts = [
        pd.DataFrame({"layer": name, "kernels": curve.at, "low": curve.low, "errors": curve.middle, "high": curve.high})
        for name, curve in belief.curves.items()
    ]
    return pd.concat(parts).assign(reference=belief.reference)
