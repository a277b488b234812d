"""The report in words: the answer in one sentence, and what stands in its way when there is none."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from phashopt.figures.belief import Belief, Curve
from phashopt.figures.labels import amount, layer_label, percent
from phashopt.figures.view import COMPLETE, PRUNED
from phashopt.service.summary import StudySummary, TrialSummary, counted

STATES = {
    COMPLETE: "complete",
    PRUNED: "stopped early",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}
LIMITS = {"macs": "MACs", "params": "parameters", "latency_ms": "ms latency"}
COSTS = {"macs": "MACs", "params": "parameters", "images_seen": "training images seen"}


def answer(summary: StudySummary, latency: Mapping[str, float] | None = None) -> str:
    """What the study found: baseline to best in accuracy and cost, under the spec's cap.

    `latency` gives milliseconds an image on this machine by role, NaN where unknown.
    """
    best, baseline = summary.best, summary.baseline
    if best is None:
        return _nothing_found(summary)
    if baseline is None:
        return f"{_result('The best', best)}{_under(summary)}; no baseline was trained to compare it with."
    if best.number == baseline.number:
        return f"No trial beat the baseline: {_result('it', best)}{_under(summary)}."
    if number(baseline.value) is None:
        return f"{_result('The best', best)}{_under(summary)}; the baseline (trial {baseline.number}) gave no accuracy."
    changes = [f"validation accuracy {percent(baseline.value)} → {percent(best.value)}"]
    for key, name in COSTS.items():
        before, after = number(baseline.attrs.get(key)), number(best.attrs.get(key))
        if before is not None and after is not None and (key in LIMITS or before != after):
            changes.append(f"{name} {amount(before)} → {amount(after)}")
    before, after = (number((latency or {}).get(role)) for role in ("baseline", "best"))
    if before is not None and after is not None:
        changes.append(f"latency {before:.3g} → {after:.3g} ms an image on this machine")
    route = f"From the baseline{_brackets(baseline)} to trial {best.number}{_brackets(best)}"
    return f"{route}: {', '.join(changes)}{_under(summary)}."


def believed(belief: Belief) -> str:
    """Which layer's kernels the model holds to matter most and least, and how far it trusts the signal."""
    spans = {name: curve.middle[0] / curve.middle[-1] for name, curve in belief.curves.items()}
    most, least = max(spans, key=lambda name: spans[name]), min(spans, key=lambda name: spans[name])
    told = f"Most is believed to hang on {_span(most, belief.curves[most])} of those of trial {belief.reference}"
    told += f"; least on {_span(least, belief.curves[least])}." if least != most else "."
    trust = list(belief.signal.values())
    return told + (f" The latest decision gives the signal a weight of {trust[-1]:.2f}." if trust else "")


def _span(name: str, curve: Curve) -> str:
    ends = f"from {curve.at[0]} to {curve.at[-1]} kernels"
    return f"{layer_label(name)}: {ends}, errors go from {curve.middle[0]:.0%} to {curve.middle[-1]:.0%}"


def sentence(words: str) -> str:
    """With a capital and a full stop; nothing stays nothing."""
    return f"{words[0].upper()}{words[1:]}." if words else ""


def counts(summary: StudySummary) -> str:
    """`24 trials, 8 of them adopted: 12 complete, 3 stopped early, 1 failed`."""
    states = Counter(trial.state for trial in summary.own)
    parts = [f"{states[state]} {word}" for state, word in STATES.items() if states[state]]
    trials = len(summary.trials)
    return counted(trials, trials - len(summary.own)) + (f": {', '.join(parts)}" if parts else "")


def caps(summary: StudySummary) -> str:
    """`1.00 M MACs and 50.0 k parameters`, or nothing when the spec sets no limit."""
    limits = summary.spec.get("limits", {})
    parts = [f"{amount(limits[key])} {name}" for key, name in LIMITS.items() if limits.get(key) is not None]
    return " and ".join(parts)


def kernels(trial: TrialSummary) -> str:
    """`32-64`: the widths of a trial, first layer first; empty when it has none."""
    return "-".join(str(trial.params[name]) for name in sorted(trial.params) if name.startswith("width_"))


def network(trial: TrialSummary) -> str:
    """`32-64 kernels`, or from seven layers on `504 kernels in 13 layers`; empty when it has no widths."""
    widths = [trial.params[name] for name in trial.params if name.startswith("width_")]
    if len(widths) <= 6:
        return f"{kernels(trial)} kernels" * bool(widths)
    return f"{sum(widths)} kernels in {len(widths)} layers"


def number(value: Any) -> float | None:
    """A finite number as it is, anything else as None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _nothing_found(summary: StudySummary) -> str:
    if not summary.trials:
        return "This study holds no trial yet."
    finished = [trial for trial in summary.trials if trial.state == COMPLETE and number(trial.value) is not None]
    if not finished:
        return f"No trial has finished with an accuracy yet ({counts(summary)})."
    top = max(finished, key=lambda trial: trial.value or 0.0)
    limits = f" of {caps(summary)}" if caps(summary) else ""
    return f"No finished trial keeps within the caps{limits}; {_result('the most accurate one', top)}."


def _result(subject: str, trial: TrialSummary) -> str:
    costs = [f"{amount(number(trial.attrs[key]))} {name}" for key, name in COSTS.items() if key in trial.attrs]
    with_costs = f" with {', '.join(costs)}" if costs else ""
    widths = f", {network(trial)}" if network(trial) else ""
    return f"{subject} (trial {trial.number}{widths}) reached {percent(trial.value)} validation accuracy{with_costs}"


def _under(summary: StudySummary) -> str:
    return f", under a cap of {caps(summary)}" if caps(summary) else ", with no cap on cost"


def _brackets(trial: TrialSummary) -> str:
    facts = [network(trial)] * bool(network(trial)) + ["over the cap"] * (not trial.feasible)
    return f" ({', '.join(facts)})" if facts else ""
