"""From a study's summary to the table that the plots draw."""

from __future__ import annotations

from phashopt.figures import StudyView
from phashopt.service.summary import StudySummary


def settings_of(summary: StudySummary) -> list[str]:
    """The parameters that are no widths."""
    names = {name for trial in summary.trials for name in trial.params}
    return sorted(names - set(summary.width_names))


def study_view(summary: StudySummary) -> StudyView:
    """The same trials, with the parameters split into widths and other settings."""
    return StudyView(
        trials=summary.table(),
        widths=summary.width_names,
        settings=settings_of(summary),
        front=summary.front,
        best=summary.best.number if summary.best else None,
        baseline=summary.baseline.number if summary.baseline else None,
        macs_cap=summary.spec.get("limits", {}).get("macs"),
        traces={trial.number: trial.trace for trial in summary.trials},
    )
