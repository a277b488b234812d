"""A study as plain data: what `study show --json` prints and what the report and the dashboard's plots draw."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from phashopt.plans import width_name
from phashopt.search import ADOPTED_KEY, Start, is_feasible
from phashopt.trace import Trace, read_trace

if TYPE_CHECKING:
    import pandas as pd
    from optuna import Study

    from phashopt.figures.view import StudyView

SPEC_KEY = "spec"
HASH_KEY = "spec_hash"  # of ours alone
ROLE_KEY = "role"
BASELINE_ROLE = "baseline"
FINISHED = ("COMPLETE", "PRUNED", "FAIL")
NUMBERS = {"macs", "params", "epochs_used", "images_seen", "train_macs", "train_seconds", "signal_seconds"}
READINGS = ("redundancy.", "duplicates.", "dead.", "distinct.")
T = TypeVar("T")


@dataclass(frozen=True)
class TrialSummary:
    """One trial; `value` is validation accuracy in [0, 1], `seconds` its wall time, NaN or None where unknown.

    `epochs_inherited` are those that a child's kernels were trained for in its ancestors.
    """

    number: int
    state: str
    value: float | None
    feasible: bool
    params: dict[str, Any]
    attrs: dict[str, Any]
    decision: str
    parent: int
    epochs_used: int
    seconds: float | None
    trace: Trace = field(repr=False, compare=False)
    epochs_inherited: int = 0

    @property
    def adopted(self) -> bool:
        """Whether another study trained it: evidence, never to be chosen."""
        return ADOPTED_KEY in self.attrs

    @property
    def trained_here(self) -> bool:
        """Whether a worker of this study's trained it, and so left its weights."""
        return not self.adopted and "images_seen" in self.attrs

    def to_json(self) -> dict[str, Any]:
        """The TRIAL of `study show --json` (docs/study.md); NaN becomes null."""
        document = {name: value for name, value in vars(self).items() if name not in ("trace", "epochs_inherited")}
        return {name: _jsonable(value) for name, value in document.items()}


@dataclass(frozen=True)
class StudySummary:
    """A study's spec and trials; `front` are the trial numbers no feasible trial beats in both accuracy and MACs."""

    name: str
    spec: dict[str, Any]
    best: TrialSummary | None
    baseline: TrialSummary | None
    front: list[int]
    trials: list[TrialSummary]
    attrs: dict[str, Any] = field(default_factory=dict)  # the study's user attributes

    def to_json(self) -> dict[str, Any]:
        """The document of `study show --json`."""
        return {
            "name": self.name,
            "spec": self.spec,
            "best": self.best.to_json() if self.best else None,
            "baseline": self.baseline.to_json() if self.baseline else None,
            "front": self.front,
            "trials": [trial.to_json() for trial in self.trials],
        }

    def founder(self, trial: TrialSummary) -> TrialSummary:
        """The trial from scratch that its line of parents began with; itself where it has no parent."""
        known = {each.number: each for each in self.trials}
        while trial.parent in known:
            trial = known[trial.parent]
        return trial

    @property
    def own(self) -> list[TrialSummary]:
        """The trials that are not adopted."""
        return [trial for trial in self.trials if not trial.adopted]

    @property
    def width_names(self) -> list[str]:
        """The width parameters, first layer first."""
        return sorted({name for trial in self.trials for name in trial.params if name.startswith("width_")})

    @property
    def settings(self) -> list[str]:
        """The parameters that are no widths."""
        return sorted({name for trial in self.trials for name in trial.params} - set(self.width_names))

    def view(self) -> StudyView:
        """The study as the plots take it."""
        from phashopt.figures.view import StudyView

        return StudyView(
            trials=self.table(),
            widths=self.width_names,
            settings=self.settings,
            front=self.front,
            best=self.best.number if self.best else None,
            baseline=self.baseline.number if self.baseline else None,
            macs_cap=self.spec.get("limits", {}).get("macs"),
            traces={trial.number: trial.trace for trial in self.trials},
        )

    def table(self) -> pd.DataFrame:
        """One row a trial: number, state, value, feasible, decision, parent, ..., then params and scalar attributes.

        A parameter and an attribute may share a name (`params`, `epochs`): the parameter wins.
        """
        import pandas as pd

        rows = [
            {
                **{key: value for key, value in trial.attrs.items() if isinstance(value, int | float | str | bool)},
                "number": trial.number,
                "state": trial.state,
                "value": trial.value,
                "feasible": trial.feasible,
                "decision": trial.decision,
                "parent": trial.parent,
                "epochs_used": trial.epochs_used,
                "seconds": trial.seconds,
                **trial.params,
            }
            for trial in self.trials
        ]
        return pd.DataFrame(rows)


def told_spec(study: Study) -> dict[str, Any]:
    """The sections of its spec, as they were written; none where it is none of ours."""
    try:
        told = json.loads(study.user_attrs[SPEC_KEY])
    except (KeyError, TypeError, ValueError):
        return {}
    sections = told.items() if isinstance(told, dict) else ()
    return {name: section for name, section in sections if isinstance(section, dict)}


def summarize(study: Study) -> StudySummary:
    """Read everything a study's database holds, once."""
    spec = told_spec(study)
    lists = listed_widths(spec)
    trials = [summarize_trial(trial, lists) for trial in study.get_trials(deepcopy=False)]
    own = [trial for trial in trials if not trial.adopted]  # the others' networks are not ours to choose
    finished = [trial for trial in own if trial.state == TrialState.COMPLETE.name and trial.value is not None]
    feasible = [trial for trial in finished if trial.feasible]
    return StudySummary(
        name=study.study_name,
        spec=spec,
        best=max(feasible, key=lambda trial: (trial.value, -trial.number), default=None),
        baseline=next((trial for trial in trials if trial.attrs.get(ROLE_KEY) == BASELINE_ROLE), None),
        front=pareto_front(feasible),
        trials=trials,
        attrs=dict(study.user_attrs),
    )


def counted(trials: int, adopted: int) -> str:
    """`17 trials, 8 of them adopted`."""
    return f"{trials} trial{'s' * (trials != 1)}" + (f", {adopted} of them adopted" if adopted else "")


def summarize_trial(trial: FrozenTrial, lists: Mapping[str, Sequence[int]]) -> TrialSummary:
    """One trial of any Optuna study; what phashopt did not write is left empty.

    `lists` gives the true values of parameters that Optuna stores as an index.
    """
    attrs = {key: value for key, value in trial.user_attrs.items() if _is_as_we_write_it(key, value)}
    noted = {**trial.system_attrs, **attrs}
    start = Start.read(trial.system_attrs)
    return TrialSummary(
        number=trial.number,
        state=trial.state.name,
        value=trial.value if trial.state.is_finished() and trial.values else None,
        feasible=is_feasible(trial),
        params=decoded(trial.params, lists),
        attrs=dict(attrs),
        decision=_of(str, noted.get("decision"), ""),
        parent=_of(int, noted.get("parent"), -1),
        epochs_used=_of(int, attrs.get("epochs_used"), len(trial.intermediate_values)),
        seconds=trial.duration.total_seconds() if trial.duration else None,
        trace=_trace(trial),
        epochs_inherited=start.epochs if start else 0,
    )


def decoded(params: Mapping[str, Any], lists: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    """A trial's parameters, those that Optuna stores as an index in one of `lists` by their true values."""
    return {name: lists[name][value] if name in lists else value for name, value in params.items()}


def _is_as_we_write_it(key: str, value: Any) -> bool:
    """Anybody may write anything into a study; under the names that we count with, only numbers are read."""
    is_ours = key in NUMBERS or key.startswith(READINGS)
    return not is_ours or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))


def _of(kind: type[T], value: Any, default: T) -> T:
    return value if isinstance(value, kind) and not isinstance(value, bool) else default


def _trace(trial: FrozenTrial) -> Trace:
    try:
        return read_trace(trial.system_attrs)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return Trace()


def listed_widths(spec: Mapping[str, Any]) -> dict[str, list[int]]:
    """Kernel counts that the spec lists, by width parameter."""
    network = spec.get("network", {})
    widths = network.get("widths", [])
    grids = widths if isinstance(widths, list) else [widths] * len(network.get("baseline", ()))
    return {width_name(index): grid["values"] for index, grid in enumerate(grids) if "values" in grid}


def roles(summary: StudySummary) -> dict[str, TrialSummary]:
    """Baseline and best, the baseline first; where the baseline is the best, the best alone."""
    found = {"baseline": summary.baseline, "best": summary.best}
    if summary.baseline is not None and summary.best is not None and summary.baseline.number == summary.best.number:
        del found["baseline"]
    return {role: trial for role, trial in found.items() if trial is not None}


def widths_by_role(summary: StudySummary) -> dict[str, list[int]]:
    """Kernels of baseline and best, first layer first, as far as they have widths."""
    names = summary.width_names
    return {
        role: [int(trial.params[name]) for name in names]
        for role, trial in roles(summary).items()
        if names and trial.params.keys() >= set(names)
    }


def pareto_front(trials: list[TrialSummary]) -> list[int]:
    """Numbers of the trials that are more accurate than every cheaper one, cheapest first; no MACs, no front."""
    priced = [trial for trial in trials if "macs" in trial.attrs and trial.value is not None]
    front: list[int] = []
    best = -math.inf
    for trial in sorted(priced, key=lambda trial: (trial.attrs["macs"], -(trial.value or 0.0))):
        if trial.value is not None and trial.value > best:
            best = trial.value
            front.append(trial.number)
    return front


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_jsonable(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
