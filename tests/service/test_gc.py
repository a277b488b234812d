from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna import Trial
from optuna.trial import TrialState, create_trial

from phashopt.search import ADOPTED_KEY
from phashopt.service.creation import create_study
from phashopt.service.gc import collect, garbage
from phashopt.service.objective import Result
from phashopt.service.spec import Spec
from phashopt.service.storage import artifact_root, trial_folder
from phashopt.service.study import open_study
from phashopt.service.worker import Worker
from phashopt.training.files import CHECKPOINT, NETWORK, STABLE, WEIGHTS
from phashopt.training.snapshot import SNAPSHOT

FILES = (CHECKPOINT, STABLE, WEIGHTS, NETWORK, SNAPSHOT)


def run_trials(url: str, study: str, folder: Path, trials: int) -> None:
    """The baseline, trial 1 at 60% and trial 2 at 70%, each with every file a trial may leave."""

    def leave(trial: Trial) -> Result:
        folder = trial_folder(artifact_root(url), study, trial.number)
        folder.mkdir(parents=True)
        for name in FILES:
            (folder / name).write_text("x")
        return Result(accuracy=(50 + 10 * trial.number) / 100, stopped=False, epochs_used=1)

    Worker(url, study, folder, label="test", make_objective=lambda *_: leave).work(limit=trials)


@pytest.fixture
def finished(url: str, spec_of: Callable[..., Spec], tmp_path: Path) -> str:
    """Of trials that have no parents."""
    create_study(url, spec_of("search.inherit=false"), tmp_path)
    run_trials(url, "tiny", tmp_path, 3)
    return "tiny"


def left(url: str, number: int) -> set[str]:
    return {path.name for path in trial_folder(artifact_root(url), "tiny", number).iterdir()}


def gather(url: str, best: int) -> int:
    return collect(garbage(open_study(url, "tiny")[0], artifact_root(url), best=best))[0]


def test_the_best_and_the_baseline_keep_their_weights(url: str, finished: str) -> None:
    gather(url, best=1)
    assert left(url, 0) == left(url, 2) == {STABLE, WEIGHTS, NETWORK, SNAPSHOT}
    assert left(url, 1) == {SNAPSHOT}


def test_while_the_study_goes_on_any_trial_may_yet_be_extended(
    url: str, spec_of: Callable[..., Spec], tmp_path: Path
) -> None:
    create_study(url, spec_of("study.trials=4", "search.inherit=false"), tmp_path)
    run_trials(url, "tiny", tmp_path, 3)
    gather(url, best=1)
    assert left(url, 1) == {STABLE, SNAPSHOT}
    run_trials(url, "tiny", tmp_path, 1)
    gather(url, best=1)
    assert left(url, 1) == {SNAPSHOT}


@pytest.mark.parametrize(
    ("sampler", "kept"), [("phash", {STABLE, WEIGHTS, NETWORK, SNAPSHOT}), ("RandomSampler", {STABLE, SNAPSHOT})]
)
def test_while_a_study_that_breeds_goes_on_any_good_trial_may_be_a_parent(
    url: str, spec_of: Callable[..., Spec], tmp_path: Path, sampler: str, kept: set[str]
) -> None:
    create_study(url, spec_of("study.trials=4", f"search.sampler='{sampler}'"), tmp_path)
    run_trials(url, "tiny", tmp_path, 3)
    gather(url, best=1)
    assert left(url, 1) == kept


def test_a_parent_keeps_its_weights(url: str, finished: str) -> None:
    study = open_study(url, finished)[0]
    child = study.ask()
    child.set_user_attr("parent", 1)
    gather(url, best=1)
    assert WEIGHTS in left(url, 1)


def test_a_trial_that_is_not_over_keeps_everything(url: str, study: str) -> None:
    folder = trial_folder(artifact_root(url), study, 0)
    folder.mkdir(parents=True)
    (folder / CHECKPOINT).write_text("x")
    assert gather(url, best=1) == 0
    opened = open_study(url, study)[0]
    opened.ask()
    assert gather(url, best=1) == 0
    opened.tell(0, state=TrialState.FAIL)
    assert gather(url, best=1) == 1


def test_what_a_killed_writer_left_is_removed_and_nothing_else_of_its_kind(url: str, finished: str) -> None:
    folder = trial_folder(artifact_root(url), finished, 2)
    (folder / f".{CHECKPOINT}.{'0' * 32}").write_text("half")
    (folder / ".notes").write_text("mine")
    gather(url, best=3)
    assert left(url, 2) == {STABLE, WEIGHTS, NETWORK, SNAPSHOT, ".notes"}


def test_a_second_time_there_is_nothing_to_do(url: str, finished: str) -> None:
    assert gather(url, best=1) == 3
    assert gather(url, best=1) == 0


def test_what_another_study_trained_takes_no_place_among_the_best(url: str, finished: str) -> None:
    study, spec = open_study(url, finished)
    for _ in range(3):
        study.add_trial(
            create_trial(
                value=0.99,
                params=spec.baseline,
                distributions=spec.space,
                user_attrs={ADOPTED_KEY: "other:0", "macs": 1},
            )
        )
    gather(url, best=1)
    assert WEIGHTS in left(url, 2)
