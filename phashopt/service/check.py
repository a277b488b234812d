"""Whether a study's database and files agree with themselves: every trial's state, lease, files, and the budget."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.artifacts import get_all_artifact_meta
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from safetensors import SafetensorError, safe_open

from phashopt.errors import UserError
from phashopt.search import ADOPTED_KEY
from phashopt.service.reaper import LOST_KEY
from phashopt.service.resting import WAIT_SECONDS, silent
from phashopt.service.spec import Spec
from phashopt.service.storage import inside, trial_folder, uploads_folder
from phashopt.service.study import check_ours, read_spec
from phashopt.service.summary import summarize
from phashopt.trace import read_trace
from phashopt.training.files import WEIGHTS

ENDED_WELL = (TrialState.COMPLETE, TrialState.PRUNED)


def check_study(study: Study, root: Path) -> list[str]:
    """One line for everything that does not agree; a study at rest or at work that is sound has none.

    Takes a few seconds if trials are running: their leases must move. Raises `UserError` for a study that is not ours.
    """
    check_ours(study)
    try:
        spec = read_spec(study)
    except UserError as error:
        return [str(error)]
    before = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.RUNNING for trial in before):
        time.sleep(WAIT_SECONDS)
    trials = study.get_trials(deepcopy=False)
    return [
        *_check_numbers(trials, spec),
        *(f"trial {trial.number} {line}" for trial in trials for line in _check_trial(trial, spec, study, root)),
        *(f"trial {number} is running, but its worker is not heard of" for number in silent(before, trials)),
        *_check_best(study, root),
    ]


def _check_numbers(trials: Sequence[FrozenTrial], spec: Spec) -> Iterator[str]:
    numbers = [trial.number for trial in trials]
    if numbers != list(range(len(numbers))):
        yield f"the trials are not numbered 0 to {len(numbers) - 1}"
    made = sum(ADOPTED_KEY not in trial.user_attrs for trial in trials)
    if made > spec.study.trials:
        yield f"there are {made} trials, but the budget is {spec.study.trials}"


def _check_trial(trial: FrozenTrial, spec: Spec, study: Study, root: Path) -> Iterator[str]:
    state = trial.state.name
    if trial.user_attrs.get(LOST_KEY, 0) > spec.study.max_attempts:
        yield f"lost more workers than the {spec.study.max_attempts} attempts it has"
    if trial.state in ENDED_WELL:
        if trial.value is None or not 0 <= trial.value <= 1:
            yield f"is {state}, but its accuracy is {trial.value}"
        if not all(_allows(distribution, trial.params.get(name)) for name, distribution in spec.space.items()):
            yield f"has parameters that the spec does not allow: {trial.params}"
        epochs = len(read_trace(trial.system_attrs).epochs)
        if epochs != trial.user_attrs.get("epochs_used", epochs):
            yield f"says it used {trial.user_attrs['epochs_used']} epochs, but shows {epochs}"
        yield from _check_files(trial_folder(root, study.study_name, trial.number))
    if trial.state == TrialState.FAIL and "error.type" in trial.user_attrs and "error.message" not in trial.user_attrs:
        yield "failed for a reason that it does not tell"
    yield from _check_artifacts(trial, study, root)


def _allows(distribution: BaseDistribution, value: Any) -> bool:
    return value is not None and distribution._contains(distribution.to_internal_repr(value))


def _check_files(folder: Path) -> Iterator[str]:
    """Every file there is can be read; which there are is up to `study gc`."""
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            yield f"has a damaged file, {path.name} ({error})"
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except (ValueError, OSError) as error:
            yield f"has a damaged file, {path.name} ({error})"


def _check_artifacts(trial: FrozenTrial, study: Study, root: Path) -> Iterator[str]:
    """Each attached name has its file; of two attempts at attaching it the first may have been cut short."""
    metas = get_all_artifact_meta(trial, storage=study._storage)
    present = {meta.filename for meta in metas if inside(uploads_folder(root), meta.artifact_id).is_file()}
    if trial.state.is_finished():
        yield from (f"lacks its attached {name}" for name in sorted({meta.filename for meta in metas} - present))


def _check_best(study: Study, root: Path) -> Iterator[str]:
    best = summarize(study).best
    if best and best.trained_here and not (trial_folder(root, study.study_name, best.number) / WEIGHTS).exists():
        yield f"trial {best.number} is the best, but its weights are gone"
