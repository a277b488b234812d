"""Live comparison: every contestant trains real networks until its compute is used up, each in a study of its own."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import optuna
import torch
from joblib import Parallel, delayed
from optuna import Study, Trial
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import Field, model_validator

from phashopt.bench.alone import alone
from phashopt.bench.contestants import CONTESTANTS, SHARES, Ring
from phashopt.bench.shrunk import train_shrunk
from phashopt.bench.task import Seed
from phashopt.errors import NotFiniteError, UserError
from phashopt.search.history import COMPUTE_KEY
from phashopt.service.images import load_data
from phashopt.service.objective import Hooks, Objective, discard_checkpoint
from phashopt.service.ranges import IntRange, middle
from phashopt.service.spec import Spec, Table
from phashopt.service.storage import artifact_root, open_storage, study_folder
from phashopt.training.data import DataSet
from phashopt.training.loop import Diverged, evaluate
from phashopt.training.run import Outcome, Run

TEST_KEY = "test_accuracy"
TASK_KEY = "task"
BUDGET_KEY = "budget"
COMMITS_KEY = "commits"


class LiveTable(Table):
    """How long each search goes on, in full-length trainings at the cap, and with which seeds."""

    budget: float = Field(default=40.0, gt=0)
    seeds: tuple[Seed, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)

    @model_validator(mode="after")
    def _check(self) -> LiveTable:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("give every seed once")
        return self


class LiveTask(Spec):
    """A spec with a cap on MACs and a range of lengths, in which searches compete."""

    live: LiveTable = LiveTable()

    @model_validator(mode="after")
    def _check(self) -> LiveTask:
        if self.limits.macs is None or not isinstance(self.training.epochs, IntRange):
            raise ValueError("a comparison needs limits.macs and a range of training.epochs")
        return self


@dataclass(frozen=True)
class Match:
    """One contestant with one seed."""

    arm: str
    seed: int


def study_name(task: LiveTask, match: Match) -> str:
    """Its study's: a name that may be a folder's."""
    return f"{task.study.name}-{re.sub('[^A-Za-z0-9]+', '-', match.arm)}-{match.seed}"


def matches_of(task: LiveTask, arms: Sequence[str]) -> list[Match]:
    """Of every seed and contestant, seed by seed."""
    return [Match(arm, seed) for seed in task.live.seeds for arm in arms]


def play(
    task: LiveTask, matches: Sequence[Match], url: str, data_dir: Path, processes: int, *, commit: str = ""
) -> Iterator[Match]:
    """Play each to its end, or on from where it was left; yields those that are over.

    Each keeps the commits at which it was played. Raises `UserError` if the database holds matches of another task, if
    another process plays one of them, and before a database is made if the task's images are not there, or no network
    keeps its cap.
    """
    document = task.model_dump_json()
    ring_of(task, _data(document, str(data_dir)), task.study.seed).space.require_feasible()
    open_storage(url, create=True)
    pool = Parallel(n_jobs=processes, return_as="generator_unordered", batch_size=1)
    yield from pool(delayed(_play)(document, match, url, str(data_dir), commit) for match in matches)


def open_match(task: LiveTask, match: Match, url: str) -> Study:
    """Its study, made if it is not there."""
    name = study_name(task, match)
    study = optuna.create_study(
        storage=open_storage(url, create=True), study_name=name, direction="maximize", load_if_exists=True
    )
    if study.user_attrs.setdefault(TASK_KEY, told(task)) != told(task):
        raise UserError(
            f"{name!r} is a match of another task; choose another --storage, or remove it with 'study delete {name}'"
        )
    study.set_user_attr(TASK_KEY, told(task))
    return study


def ring_of(task: LiveTask, data: DataSet, seed: int) -> Ring:
    """What the contestants with this seed are told."""
    spec = task.model_copy(update={"study": task.study.model_copy(update={"seed": seed})})
    budget = task.live.budget
    return Ring(spec, data.shape, len(data.classes), budget, budget * unit(task, len(data.train)))


def told(task: LiveTask) -> str:
    """All that matches have in common, as JSON."""
    return task.model_dump_json(exclude={"live": {"seeds"}})


def _play(document: str, match: Match, url: str, data_dir: str, commit: str) -> Match:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    task = LiveTask.model_validate_json(document)
    Player(task, match, url, _data(document, data_dir), commit).play()
    return match


@lru_cache(1)
def _data(document: str, data_dir: str) -> DataSet:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return load_data(LiveTask.model_validate_json(document), Path(data_dir), device)


class Player:
    """Asks, trains and tells until the budget is used up. All seeds see the same images; the test split is scored for
    the record and shown to nobody.
    """

    def __init__(self, task: LiveTask, match: Match, url: str, data: DataSet, commit: str = "") -> None:
        self._match = match
        self._contestant = CONTESTANTS[match.arm]
        self._study = open_match(task, match, url)
        self._data = data
        self._commit = commit
        self._root = artifact_root(url)
        self._ring = ring_of(task, data, match.seed)
        self._budget = self._ring.compute
        self._distributions = self._contestant.distributions(self._ring)
        hooks = Hooks(interrupted=lambda: False, notify=lambda _: None, ended=self._note)
        self._objective = Objective(self._study, self._ring.spec, data, self._root, hooks)

    def play(self) -> None:
        """To the end; a trial that was cut off is trained again. Raises `UserError` while another process plays."""
        name = self._study.study_name
        self._root.mkdir(parents=True, exist_ok=True)
        with alone(study_folder(self._root, name), f"plays {name!r}"):
            self._play()

    def _play(self) -> None:
        if not self._study.get_trials(deepcopy=False):  # what lies there is of a match that was removed
            shutil.rmtree(study_folder(self._root, self._study.study_name), ignore_errors=True)
        self._study.set_user_attr(BUDGET_KEY, self._budget)
        while not is_over(self._match.arm, trials := self._study.get_trials(deepcopy=False), self._budget):
            self._note_commit()
            if self._contestant.shrunk:
                self._shrink(SHARES[len(trials)])
                continue
            self._prepare(trials)
            trial = self._unfinished(trials) or self._study.ask(self._distributions)
            try:
                result = self._objective(trial)
            except Diverged:
                self._charge(trial, trial.user_attrs["train_macs"], trial.user_attrs["reading_macs"])
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                if result.stopped:
                    self._study.tell(trial, state=TrialState.PRUNED)
                else:
                    self._study.tell(trial, result.accuracy)
                discard_checkpoint(self._study, trial, self._root)
        shutil.rmtree(study_folder(self._root, self._study.study_name), ignore_errors=True)

    def _note_commit(self) -> None:
        commits: list[str] = self._study.user_attrs.get(COMMITS_KEY, [])
        if self._commit and self._commit not in commits:
            self._study.set_user_attr(COMMITS_KEY, [*commits, self._commit])

    def _prepare(self, trials: list[FrozenTrial]) -> None:
        """Samplers are seeded by the trial's number, so that it does not matter when a match was interrupted."""
        finished = sum(trial.state.is_finished() for trial in trials)
        self._study.sampler = self._contestant.sampler(self._ring, finished)
        self._study.pruner = self._contestant.pruner(self._ring)

    def _shrink(self, share: float) -> None:
        """One parent and its child for this share of the budget, told as a trial that is over."""
        attrs: dict[str, float] = {COMPUTE_KEY: share * self._budget}
        params, value, state = self._ring.first, None, TrialState.FAIL
        with suppress(Diverged, NotFiniteError):
            found = train_shrunk(self._ring, self._data, share * self._budget, self._ring.spec.study.seed)
            attrs = {COMPUTE_KEY: found.macs, TEST_KEY: found.test}
            params, value, state = found.params, found.validation, TrialState.COMPLETE
        self._study.add_trial(
            create_trial(
                state=state,
                params=self._ring.coding.encode(params),
                distributions=self._distributions,
                value=value,
                user_attrs=attrs,
            )
        )

    def _unfinished(self, trials: list[FrozenTrial]) -> Trial | None:
        for frozen in trials:
            if not frozen.state.is_finished():
                trial = Trial(self._study, frozen._trial_id)
                for name, distribution in self._distributions.items():
                    trial._suggest(name, distribution)
                return trial
        return None

    def _note(self, trial: Trial, run: Run, outcome: Outcome) -> None:
        self._charge(trial, outcome.train_macs, outcome.reading_macs)
        trial.set_user_attr(TEST_KEY, evaluate(run.trainer.network, self._data.test).accuracy)

    def _charge(self, trial: Trial, macs: int, of_readings: int) -> None:
        """Readings are taken of every trial, and come out of the budget of whoever looks at them."""
        trial.set_user_attr(COMPUTE_KEY, macs - (0 if self._contestant.reads else of_readings))


def unit(task: LiveTask, images: int) -> float:
    """MACs of one full-length training at the cap, of whole batches."""
    assert isinstance(task.training.epochs, IntRange)
    batch = min(middle(task.training.batch_size), images)
    return float(3 * (task.limits.macs or 0) * (images // batch * batch) * task.training.epochs.high)


def is_over(arm: str, trials: Sequence[FrozenTrial], budget: float) -> bool:
    """Whether a match is over: the budget, in MACs, is used up, or all of its separate trainings are done."""
    finished = [trial for trial in trials if trial.state.is_finished()]
    if CONTESTANTS[arm].separate:
        return len(finished) == len(SHARES)
    return sum(map(charged, finished)) >= budget


def charged(trial: FrozenTrial) -> float:
    """MACs that count for a trial: none of one that was never begun."""
    return float(trial.user_attrs.get(COMPUTE_KEY, 0))
