"""Another Optuna study's trials as evidence for one of ours: what was paid for already need not be paid again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from phashopt.errors import UserError
from phashopt.search import ADOPTED_KEY, LONGER_KEY, START_KEY, USED_KEY, Start
from phashopt.search.space import LENGTH
from phashopt.service.spec import Spec
from phashopt.service.storage import KINDS, file_of, kind, open_storage, shown
from phashopt.service.study import CREATED_KEY, open_plain, read_subject
from phashopt.service.summary import counted, decoded, listed_widths, told_spec
from phashopt.trace import READING_FIELDS

ALIASES = {
    "epochs": ("n_epochs", "num_epochs", "max_epochs", "epoch"),
    "learning_rate": ("lr", "learning-rate", "init_lr", "lr0"),
    "batch_size": ("bs", "batch", "batchsize"),
    "weight_decay": ("wd", "decay", "l2"),
    "optimizer": ("optim", "opt"),
    "label_smoothing": ("smoothing",),
}
DOUBTFUL = 2.0  # percent, up to which values above 1 are sooner some other score
NUMBERED = re.compile(r"(.*?)(\d+)(\D*)")


@dataclass(frozen=True)
class Adoption:
    """What came of it: trials taken over, those whose values our ranges do not allow, and which name became which.

    `unused` are the parameters of theirs that nothing of ours corresponds to, `otherwise` what their spec says of data
    and network that ours does not.
    """

    source: str
    adopted: int
    percent: bool  # whether their values were read so
    known: int  # taken over before
    outside: int
    names: dict[str, str]
    unused: list[str]
    otherwise: list[str]
    childless: bool  # this study's trials build on no others

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self)

    def words(self) -> Iterator[str]:
        """A line for each thing to know."""
        before = f", {self.known} were adopted before" if self.known else ""
        why = "outside this study's ranges" + ", or children, of which it trains none" * self.childless
        outside = f", {self.outside} left aside: {why}" if self.outside else ""
        read = ", their values read as percent" * self.percent
        yield f"{counted(self.adopted, 0)} of {self.source} adopted as evidence{read}{before}{outside}."
        renamed = [f"{theirs} is {ours}" for ours, theirs in self.names.items() if ours != theirs]
        if renamed:
            yield f"Taken for the same: {', '.join(renamed)}."
        if self.unused:
            yield f"Left aside, with whatever difference they made: {', '.join(self.unused)}."
        if self.otherwise:
            yield f"Trained otherwise than here: {', '.join(self.otherwise)}."


def adopt(study: Study, spec: Spec, source: str, renamed: Mapping[str, str], given: Mapping[str, str]) -> Adoption:
    """Add the complete trials of the study at `source` (STORAGE or STORAGE/STUDY) to `study`, marked as adopted.

    Parameters are matched by name: the same, a usual other one (`lr`, `n_epochs`), for widths a common stem with
    numbers, or as `renamed` (ours -> theirs) says. `given` are values of ours that theirs held fixed. Widths off our
    grid become the nearest on it; a trial outside our ranges is left out, and a child where this study trains none.
    Nothing is written unless all names fit and one trial at least, and none was adopted otherwise before; raises
    `UserError`. Adopted trials count in no budget and are never the best.
    """
    other = _open(source)
    if (other.study_name, other.user_attrs.get(CREATED_KEY)) == (study.study_name, study.user_attrs[CREATED_KEY]):
        raise UserError(f"{source} is this study itself; adopt another")
    otherwise = _otherwise(spec, other)
    names = _matched(spec, other, renamed, given)
    fixed = {name: _read(name, text, spec.space[name]) for name, text in given.items()}
    complete = _own(other)
    percent = _in_percent(other, complete)
    shares = [trial.values[0] / (100 if percent else 1) for trial in complete]
    taken = {trial.user_attrs.get(ADOPTED_KEY): trial for trial in study.get_trials(deepcopy=False)}
    lists = _lists(other)
    ready, known, outside = [], 0, 0
    for trial, share in zip(complete, shares, strict=True):
        origin, start = _origin(other, trial), Start.read(trial.system_attrs)
        params = _translated(decoded(trial.params, lists), names, fixed, spec)
        before = taken.get(origin) or taken.get(f"{other.study_name}:{trial.number}")  # as it was once noted
        if before:
            _require_same(before, params)
            known += 1
        elif params is None or (start and not spec.inherits):
            outside += 1
        else:
            told: dict[str, str | float] = {ADOPTED_KEY: origin, **_readings(trial, names)}
            begun = _renamed(start, names, fixed, spec)
            noted = {START_KEY: begun.note()} if begun else {}
            ready.append(_as_ours(study, spec, params, share, told=told, noted=noted | _lengthened(trial, params)))
    if not ready and not known:
        raise UserError(
            f"no complete trial of {other.study_name!r} lies within this study's ranges: widen them, or adopt another"
        )
    for each in ready:
        study.add_trial(each)
    unused = sorted(set(_parameters(other)) - set(names.values()))
    return Adoption(other.study_name, len(ready), percent, known, outside, names, unused, otherwise, not spec.inherits)


def _require_same(before: FrozenTrial, params: Mapping[str, Any] | None) -> None:
    """Raise `UserError` if what was adopted `before` would have other `params` now: evidence is not changed."""
    for name, value in (params or before.params).items():
        if before.params.get(name) != value:
            raise UserError(
                f"trial {before.number} was adopted with {name} {before.params.get(name)}, not {value}: "
                "give what was given before, or adopt it into a new study"
            )


def _otherwise(spec: Spec, other: Study) -> list[str]:
    """What its spec, if it is one of ours, says of data and network that `spec` does not.

    Raises `UserError` where it is another data set, whose accuracies say nothing here.
    """
    theirs, ours = told_spec(other), spec.model_dump(mode="json")
    data = theirs.get("data", {})
    if data.get("dataset", ours["data"]["dataset"]) != ours["data"]["dataset"]:
        raise UserError(f"{other.study_name!r} is of {data['dataset']}, this study of {ours['data']['dataset']}")
    return [
        f"{section}.{key} {value}"
        for section in ("data", "network")
        for key, value in theirs.get(section, {}).items()
        if key not in ("widths", "baseline") and key in ours[section] and ours[section][key] != value
    ]


def _origin(study: Study, trial: FrozenTrial) -> str:
    """Study, time and number: another database may hold a study of the same name."""
    began = trial.datetime_start.isoformat() if trial.datetime_start else ""
    return f"{study.study_name}@{began}:{trial.number}"


def _open(source: str) -> Study:
    """The study that `source` names; the only one of a database if it names none."""
    url, name = _split(source)
    storage = open_storage(url)
    if name is not None:
        return open_plain(storage, name)
    names = optuna.get_all_study_names(storage)
    if len(names) != 1:
        raise UserError(
            f"{shown(url)} holds {len(names)} studies: name one, as in {shown(url)}/{next(iter(names), 'STUDY')}"
        )
    return open_plain(storage, names[0])


def _split(source: str) -> tuple[str, str | None]:
    """Storage URL and study name, if there is one behind it."""
    scheme, separator, rest = source.partition("://")
    if not separator:
        raise UserError(f"--from {source}: write STORAGE or STORAGE/STUDY, where STORAGE is {KINDS}")
    if kind(source) in ("sqlite", "journal"):
        if file_of(source).is_file():
            return source, None
        for place in [place for place, letter in enumerate(rest) if letter == "/"][:0:-1]:  # a name may have slashes
            if file_of(f"{scheme}://{rest[:place]}").is_file():
                return f"{scheme}://{rest[:place]}", rest[place + 1 :]
        before = file_of(source)
        if not before.parent.is_dir():
            raise UserError(f"there is no study database {before.parent}, nor {before}; give another --from")
        return source, None
    parts = rest.split("/")
    behind = 1 if kind(source) == "grpc" else 2  # HOST:PORT, or USER@HOST/DATABASE
    return f"{scheme}://{'/'.join(parts[:behind])}", "/".join(parts[behind:]) or None


def _matched(spec: Spec, other: Study, renamed: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Ours -> theirs for every parameter of ours that is not given."""
    for name in (*renamed, *given):
        if name not in spec.space:
            raise UserError(f"this study has no parameter {name!r}; it has {', '.join(spec.space)}")
    if both := sorted(renamed.keys() & given.keys()):
        raise UserError(f"{both[0]} is given and mapped; leave out --map or --given")
    theirs = _parameters(other)
    widths = _numbered_widths(theirs, len(spec.grids))
    names: dict[str, str] = {}
    for index, name in enumerate(spec.space):
        if name in given:
            continue
        candidates = [renamed[name]] if name in renamed else [name, *ALIASES.get(name, ())]
        if name not in renamed and name in spec.grids and widths:
            candidates.append(widths[index])
        match = next((candidate for candidate in candidates if candidate in theirs), None)
        if match is None:
            wanted = renamed.get(name, name)
            raise UserError(
                f"{other.study_name!r} has no {wanted}; its parameters are {', '.join(theirs) or 'none'}: "
                f"say --map {name}=THEIRS, or --given {name}=VALUE if it was fixed"
            )
        if match in names.values():
            raise UserError(f"{match} of {other.study_name!r} cannot be two of our parameters; say which with --map")
        names[name] = match
    return names


def _own(other: Study) -> list[FrozenTrial]:
    """The complete trials that it did not adopt itself."""
    complete = other.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return [trial for trial in complete if ADOPTED_KEY not in trial.user_attrs]


def _parameters(other: Study) -> list[str]:
    """Those that all complete trials share."""
    sets = [set(trial.params) for trial in _own(other)]
    if not sets:
        raise UserError(f"{other.study_name!r} has no complete trial to adopt")
    return sorted(set.intersection(*sets))


def _numbered_widths(theirs: Sequence[str], layers: int) -> list[str]:
    """The one family of names that differ in a number only, as many as there are layers; empty unless it is one."""
    families = defaultdict(list)
    for name in theirs:
        if match := NUMBERED.fullmatch(name):
            families[match[1], match[3]].append((int(match[2]), name))
    fitting = [family for family in families.values() if len(family) == layers]
    return [name for _, name in sorted(fitting[0])] if len(fitting) == 1 else []


def _in_percent(other: Study, complete: Sequence[FrozenTrial]) -> bool:
    """Whether its accuracies are, and not shares in [0, 1]. Raises `UserError` for a study of anything else."""
    if other.directions != [StudyDirection.MAXIMIZE]:
        raise UserError(f"{other.study_name!r} does not maximise one accuracy: only such a study can be adopted")
    values = [trial.values[0] for trial in complete]
    if not all(0 <= value <= 100 for value in values):
        raise UserError(f"{other.study_name!r} has values outside 0 to 100: they are no accuracies")
    if 1 < (largest := max(values)) <= DOUBTFUL:
        raise UserError(
            f"the largest value of {other.study_name!r} is {largest:.4g}, neither a share nor likely a percentage: "
            "adopt a study of accuracies in 0 to 1 or in percent"
        )
    return bool(largest > 1)


def _read(name: str, text: str, distribution: BaseDistribution) -> Any:
    """A value given in words; raises `UserError`."""
    try:
        if isinstance(distribution, IntDistribution | FloatDistribution):
            return int(text) if isinstance(distribution, IntDistribution) else float(text)
    except ValueError as error:
        kind = "whole number" if isinstance(distribution, IntDistribution) else "number"
        raise UserError(f"--given {name}={text}: write a {kind}") from error
    choices = getattr(distribution, "choices", ())
    return next((choice for choice in choices if str(choice) == text), text)


def _lists(other: Study) -> dict[str, list[int]]:
    """The widths that the other study lists, if it is one of ours."""
    try:
        return listed_widths(told_spec(other))
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _translated(
    params: Mapping[str, Any], names: Mapping[str, str], fixed: Mapping[str, Any], spec: Spec
) -> dict[str, Any] | None:
    """Our parameters as Optuna stores them; None where a value lies outside our ranges."""
    ours: dict[str, Any] = {name: params[theirs] for name, theirs in names.items()} | dict(fixed)
    for name, grid in spec.grids.items():
        kernels = ours[name]
        if not isinstance(kernels, int | float) or isinstance(kernels, bool) or kernels <= 0 or kernels % 1:
            return None
        if not grid.decode(grid.distribution.low) <= kernels <= grid.decode(grid.distribution.high):
            return None
        ours[name] = grid.encode(grid.nearest(int(kernels)))
    return ours if all(_allows(distribution, ours[name]) for name, distribution in spec.space.items()) else None


def _renamed(start: Start | None, names: Mapping[str, str], fixed: Mapping[str, Any], spec: Spec) -> Start | None:
    """With what its ancestors were trained by under our names, as far as it lies within our ranges."""
    if start is None:
        return None
    ours = {name: start.before[theirs] for name, theirs in names.items() if theirs in start.before} | dict(fixed)
    return replace(start, before={name: value for name, value in ours.items() if _allows(spec.space[name], value)})


def _allows(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


def _readings(trial: FrozenTrial, names: Mapping[str, str]) -> dict[str, float]:
    """What theirs says of its layers, under our names."""
    keys = {f"{field}.{theirs}": f"{field}.{ours}" for ours, theirs in names.items() for field in READING_FIELDS}
    known = {keys[key]: value for key, value in trial.user_attrs.items() if key in keys}
    return {key: float(value) for key, value in known.items() if isinstance(value, int | float)}


def _lengthened(trial: FrozenTrial, params: Mapping[str, Any]) -> dict[str, int]:
    """What is noted of one that was trained for longer than it was to be."""
    used = trial.user_attrs.get(USED_KEY)
    return {LONGER_KEY: used} if isinstance(used, int) and used > params.get(LENGTH, used) else {}


def _as_ours(
    study: Study,
    spec: Spec,
    params: dict[str, Any],
    share: float,
    *,
    told: Mapping[str, str | float],
    noted: Mapping[str, Any],
) -> FrozenTrial:
    subject = read_subject(study)
    widths = spec.widths(params)
    cost = spec.blueprint(widths, subject.image, len(subject.classes)).cost
    constraints = {name: float(getattr(cost, name) - cap) for name, cap in spec.limits.caps.items()}
    place, _, number = str(told[ADOPTED_KEY]).rpartition(":")
    other = place.rpartition("@")[0]
    return create_trial(
        value=share,
        params=params,
        distributions=dict(spec.space),
        constraints=constraints,
        user_attrs={
            **told,
            "kernels": "-".join(map(str, widths)),
            "macs": cost.macs,
            "params": cost.params,
            "feasible": all(value <= 0 for value in constraints.values()),
            "decision": f"Adopted as evidence: trial {number} of {other}.",
            "parent": -1,
        },
        system_attrs=dict(noted),
    )
