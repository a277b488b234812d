"""What a study's trials tell the search. Finished trials never change, so each is decoded once."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import zip_longest
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from phashopt.search.coding import Coding
from phashopt.search.lock import OwnLock
from phashopt.search.record import Record
from phashopt.search.space import LENGTH, numbered
from phashopt.search.start import NO_PARENT, PARENT_KEY, Start
from phashopt.trace import READING_FIELDS, Epoch, Reading, Trace, read_trace

if TYPE_CHECKING:
    from optuna import Study

PROPOSAL_KEY = "proposal"
STABLE_KEY = "stable_epochs"
USED_KEY = "epochs_used"
COMPUTE_KEY = "train_macs"
PLANNED_KEY = "epochs_planned"  # of a trial that was stopped: how long it was to be in the end
LONGER_KEY = "longer"  # system attribute of a trial that goes on beyond the range of lengths: its epochs in all
ORPHANED_KEY = "orphaned_by"  # system attribute of a trial whose parent left nothing to go on from: its number
ADOPTED_KEY = "adopted"  # user attribute of a trial taken over from another study: evidence, not part of the budget

_Distributions = dict[str, BaseDistribution]


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether every constraint stored with the trial so far is <= 0; true where there is none."""
    return all(value <= 0 for value in trial.constraints.values())


@dataclass(frozen=True)
class Pending:
    """A trial that runs or is enqueued: what it will be, a child's start, and whose weights it takes over."""

    params: Mapping[str, Any]
    start: Start | None = None
    parent: int = NO_PARENT

    @property
    def length(self) -> int:
        """Its epochs; 0 where these are no number, since anything may be enqueued."""
        length = self.params.get(LENGTH)
        return length if isinstance(length, int) else 0


@dataclass(frozen=True)
class Past:
    """A study at one moment, seen from one trial of it.

    `records` are the complete trials, `stopped` the pruned and failed ones, `distributions` the latest ones of the
    parameters that all complete trials have, and `asked` of those that any trial had that is over. `epochs` are those
    that the study's own trials were trained for, what one goes on from not counted again, `compute` their MACs where
    these are known, and `planned` the epochs of those that are not over. `begun` is when the first of them
    began, and `now` when the last one did.
    """

    records: list[Record]
    stopped: list[Record]
    pending: list[Pending]
    distributions: _Distributions
    sign: int = 1  # -1 where the study minimises
    spent: Set[int] = frozenset()  # the trials whose weights are known to be gone
    asked: Mapping[str, BaseDistribution] = field(default_factory=dict)
    epochs: int = 0
    compute: float = 0.0
    planned: int = 0
    begun: datetime | None = None
    now: datetime | None = None

    @property
    def from_scratch(self) -> Past:
        """Without children."""
        records, stopped = ([each for each in part if not each.start] for part in (self.records, self.stopped))
        return replace(self, records=records, stopped=stopped)

    @property
    def unread(self) -> Past:
        """As if no layer had been looked at."""
        records, stopped = ([each.unread for each in part] for part in (self.records, self.stopped))
        return replace(self, records=records, stopped=stopped)

    @property
    def fates_were_read(self) -> bool:
        """Whether a reading alone says of a trial that it came to nothing."""
        return any(each.collapsed_as_read for each in (*self.records, *self.stopped))

    @property
    def points(self) -> list[Mapping[str, Any]]:
        """The parameters of every trial."""
        trials: list[Record | Pending] = [*self.records, *self.stopped, *self.pending]
        return [trial.params for trial in trials]


@dataclass(frozen=True)
class _Entry:
    """A finished trial, and the distributions of its parameters; None where these may be incomplete."""

    record: Record
    distributions: _Distributions | None
    asked: _Distributions
    orphaned_by: int | None
    start: datetime | None

    @property
    def number(self) -> int:
        """Of the trial."""
        return self.record.number


class _Finished:
    """All finished trials by their numbers, whatever the order they come in: a study of thousands grows by one each."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.stopped: list[Record] = []
        self.spent: set[int] = set()
        self.epochs = 0
        self.compute = 0.0
        self.starts: list[datetime] = []  # the first and the last
        self._kept: dict[int, Record] = {}  # what another training may have gone on from
        self._asked: dict[str, tuple[int, BaseDistribution]] = {}
        self._askers: dict[bool, dict[int, _Entry]] = {True: {}, False: {}}  # the latest of each space, by completeness

    def add(self, entry: _Entry) -> None:
        """One that was not there."""
        insort(self.records if entry.record.complete else self.stopped, entry.record, key=attrgetter("number"))
        if not entry.record.adopted:
            self.epochs += self.own_epochs(entry.record, _trained(entry.record))
            self.compute += entry.record.compute
            self.starts = _ends([*self.starts, entry.start])
        if entry.record.stable_epochs:
            self._kept[entry.number] = entry.record
        if entry.orphaned_by is not None:
            self.spent.add(entry.orphaned_by)
        for name, distribution in entry.asked.items():
            if entry.number >= self._asked.get(name, (0, None))[0]:
                self._asked[name] = (entry.number, distribution)
        if entry.distributions:
            askers, space = self._askers[entry.record.complete], id(entry.distributions)
            askers[space] = max(entry, askers.get(space, entry), key=attrgetter("number"))

    def own_epochs(self, trial: Record | Pending, epochs: int) -> int:
        """Of so many `epochs` of a trial in all those that are not its parent's, where it goes on from one."""
        parent = self._kept.get(trial.parent)
        shared = parent.stable_epochs if parent and parent.start == trial.start else None
        return max(0, epochs - (shared or 0))

    @property
    def asked(self) -> _Distributions:
        """What any of them asked for, failed ones included, each as of the latest that did."""
        return {name: distribution for name, (_, distribution) in self._asked.items()}

    @property
    def distributions(self) -> _Distributions:
        """The parameters that all complete trials asked for, or where none did all stopped ones, as of the latest.

        A trial that was stopped may not have come to all of its parameters; a range may have been changed since.
        """
        askers = (self._askers[True] or self._askers[False]).values()
        every = [each.distributions or {} for each in sorted(askers, key=attrgetter("number"))]
        latest = every[-1] if every else {}
        return {name: latest[name] for name in sorted(latest) if all(name in each for each in every)}


class History:
    """Reads a study again and again, and looks only at what is new.

    Of a trial that never came to some of `widths`, as a shallower network does not, these are as they were proposed; of
    one that failed before it had asked for all of its parameters, all are.
    """

    def __init__(self, coding: Coding, widths: Collection[str] = ()) -> None:
        self._coding = coding
        self._widths = widths
        self._decoded: dict[tuple[Any, ...], _Entry] = {}
        self._distributions: list[_Distributions] = []
        self._seen: list[FrozenTrial | None] = []  # the finished trials, at their places in the storage
        self._finished = _Finished()
        self._lock = OwnLock()  # `study.optimize(n_jobs=...)` asks from several threads

    def read(self, study: Study, number: int) -> Past:
        """Everything but trial `number`, which is not finished, in the order of the numbers.

        Goes through the storage, since under `HyperbandPruner` the study shows a sampler one bracket only.
        """
        with self._lock:
            trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
            every = self._update(trials, study.direction)
            unfinished = [trial for trial in every if trial.number != number]
            pending = [self._pending(trial) for trial in unfinished]
            orphaned_by = {each.system_attrs[ORPHANED_KEY] for each in unfinished if ORPHANED_KEY in each.system_attrs}
            starts = _ends([*self._finished.starts, *(trial.datetime_start for trial in every)])
            return Past(
                records=list(self._finished.records),
                stopped=list(self._finished.stopped),
                pending=pending,
                distributions=self._finished.distributions or _most(unfinished),
                sign=1 if study.direction == StudyDirection.MAXIMIZE else -1,
                spent=self._finished.spent | orphaned_by,
                asked=self._finished.asked,
                epochs=self._finished.epochs,
                compute=self._finished.compute,
                planned=sum(self._finished.own_epochs(each, each.length) for each in pending),
                begun=min(starts, default=None),
                now=max(starts, default=None),
            )

    def _pending(self, trial: FrozenTrial) -> Pending:
        attrs = trial.system_attrs
        return Pending(_planned_params(trial, self._coding), Start.read(attrs), attrs.get(PARENT_KEY, NO_PARENT))

    def _update(self, trials: Sequence[FrozenTrial], direction: StudyDirection) -> list[FrozenTrial]:
        """Takes in what has finished since; returns what has not.

        Storages hand out the same finished trials at the same places: these are not even looked at. Where one does not,
        all are taken in again.
        """
        new = [place for place, (trial, seen) in enumerate(zip_longest(trials, self._seen)) if trial is not seen]
        if any(self._seen[place] for place in new if place < len(self._seen)):
            self._seen, self._finished = [], _Finished()
            new = list(range(len(trials)))
        self._seen += [None] * (len(trials) - len(self._seen))
        unfinished = []
        for place in new:
            if trials[place].state.is_finished():
                self._seen[place] = trials[place]
                self._finished.add(self._entry(trials[place], direction))
            else:
                unfinished.append(trials[place])
        return unfinished

    def _entry(self, trial: FrozenTrial, direction: StudyDirection) -> _Entry:
        key = (trial._trial_id, trial.number, trial.datetime_complete, direction)  # of whatever study
        if key not in self._decoded:
            proposed: dict[str, Any] = trial.system_attrs.get(PROPOSAL_KEY, {})
            missing = proposed if trial.state == TrialState.FAIL else self._widths
            params = {name: proposed[name] for name in missing if name in proposed}
            record = _record(trial, params | self._coding.decode(trial.params), direction)
            orphaned_by = trial.system_attrs.get(ORPHANED_KEY)
            self._decoded[key] = _Entry(
                record, self._shared(trial), trial.distributions, orphaned_by, trial.datetime_start
            )
        return self._decoded[key]

    def _shared(self, trial: FrozenTrial) -> _Distributions | None:
        """Comparing a thousand trials' distributions takes longer than all the rest: equal ones are kept once."""
        if trial.state == TrialState.FAIL or not trial.distributions:
            return None
        if trial.distributions not in self._distributions:
            self._distributions.append(trial.distributions)
        return self._distributions[self._distributions.index(trial.distributions)]


def trial_trace(trial: FrozenTrial, direction: StudyDirection) -> Trace:
    """The trial's trace; where it has none its reported values, as accuracies to maximise or losses to minimise."""
    trace = read_trace(trial.system_attrs)
    if trace.epochs:
        return trace
    reported = sorted(trial.intermediate_values.items())
    if direction == StudyDirection.MAXIMIZE:
        return Trace([Epoch(step, accuracy=value) for step, value in reported])
    return Trace([Epoch(step, loss=value) for step, value in reported])


def lengthened(trial: FrozenTrial, params: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with the length of a trial that goes on beyond the range of lengths, which Optuna cannot store."""
    return {**params, LENGTH: trial.system_attrs[LONGER_KEY]} if trial.system_attrs.get(LONGER_KEY) else dict(params)


def _record(trial: FrozenTrial, params: Mapping[str, Any], direction: StudyDirection) -> Record:
    trace = trial_trace(trial, direction)
    complete = trial.state == TrialState.COMPLETE and trial.value is not None
    used = trial.user_attrs.get(USED_KEY)
    params = lengthened(trial, params)
    planned = used if complete else trial.user_attrs.get(PLANNED_KEY)
    if LENGTH in params and isinstance(planned, int) and planned > params[LENGTH]:  # the pruner gave it more epochs
        params = {**params, LENGTH: planned}
    value = trial.value if complete and trial.value is not None else math.nan
    return Record(
        number=trial.number,
        value=value,
        score=value if direction == StudyDirection.MAXIMIZE else -value,
        complete=complete,
        epochs=used if isinstance(used, int) else None,
        failed=trial.state == TrialState.FAIL,
        feasible=is_feasible(trial),
        params=params,
        trace=trace,
        readings=trace.last_readings or _attribute_readings(trial.user_attrs),
        stable_epochs=trial.user_attrs.get(STABLE_KEY),
        adopted=ADOPTED_KEY in trial.user_attrs,
        start=Start.read(trial.system_attrs),
        parent=trial.system_attrs.get(PARENT_KEY, NO_PARENT),
        compute=0.0 if math.isnan(macs := _number(trial.user_attrs.get(COMPUTE_KEY))) else macs,
    )


def _trained(record: Record) -> int:
    """Its epochs, those of its parent that it goes on from included."""
    return record.epochs or (record.trace.epochs[-1].number if record.trace.epochs else 0)


def _attribute_readings(attrs: Mapping[str, Any]) -> dict[str, Reading]:
    keys = [key.partition(".") for key in attrs]
    read = {name for quantity, _, name in keys if quantity in READING_FIELDS and name not in ("", "mean")}
    names = sorted(read, key=numbered)
    return {name: Reading(*(_number(attrs.get(f"{field}.{name}")) for field in READING_FIELDS)) for name in names}


def _number(entry: Any) -> float:
    return float(entry) if isinstance(entry, int | float) else math.nan


def _planned_params(trial: FrozenTrial, coding: Coding) -> dict[str, Any]:
    """What a trial that is not finished has asked for, what was proposed to it, and what it was enqueued with."""
    fixed: dict[str, Any] = trial.system_attrs.get("fixed_params", {})
    proposed: dict[str, Any] = trial.system_attrs.get(PROPOSAL_KEY, {})
    return lengthened(trial, proposed | coding.decode(fixed | trial.params))


def _ends(moments: Iterable[datetime | None]) -> list[datetime]:
    """The first and the last of those that are known, if any is."""
    known = [moment for moment in moments if moment]
    return [min(known), max(known)] if known else []


def _most(trials: list[FrozenTrial]) -> _Distributions:
    """Before a trial is finished: the distributions of the one that has asked for the most parameters."""
    most = max(trials, key=lambda trial: len(trial.distributions), default=None)
    return dict(sorted(most.distributions.items())) if most else {}
