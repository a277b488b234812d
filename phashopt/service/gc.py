"""What a study keeps on disk: weights of the trials that matter, no checkpoint of a trial that is over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from optuna import Study

from phashopt.search.options import NEAREST
from phashopt.service.storage import trial_folder
from phashopt.service.study import read_spec
from phashopt.service.summary import FINISHED, StudySummary, TrialSummary, summarize
from phashopt.training.files import CHECKPOINT, NETWORK, STABLE, WEIGHTS

BEST = 10
LEFTOVER = re.compile(r"^\..+\.[0-9a-f]{32}$")  # what a process killed while writing leaves of `save_bytes`


def garbage(study: Study, root: Path, *, best: int = BEST) -> Iterator[Path]:
    """The files that nothing needs any more.

    Kept are the weights of the `best` feasible trials, the baseline, every trial that another names as its parent,
    and everything of trials that are not over; of all others what the report draws, and until the study is over what
    the search may yet build on: the stable phases, and where kernels are inherited the weights of the best trials.
    Raises `UserError` for a study that is not ours.
    """
    spec = read_spec(study)
    summary = summarize(study)
    over = _is_over(summary, spec.study.trials)
    breeds = spec.inherits and not over
    kept = _kept(summary, best) | (_possible_parents(summary) if breeds else set())
    dropped = [CHECKPOINT, WEIGHTS, NETWORK, *([STABLE] if over else [])]
    for trial in summary.trials:
        if trial.state in FINISHED:
            folder = trial_folder(root, summary.name, trial.number)
            names = [CHECKPOINT] if trial.number in kept else dropped
            yield from (folder / name for name in names if (folder / name).exists())
            yield from (path for path in sorted(folder.glob(".*")) if LEFTOVER.match(path.name))


def collect(files: Iterator[Path]) -> tuple[int, int]:
    """Remove them; returns how many there were and their bytes."""
    count = size = 0
    for path in files:
        size += path.stat().st_size
        path.unlink()
        count += 1
    return count, size


def _is_over(summary: StudySummary, budget: int) -> bool:
    """Whether all trials of the budget are made and ended."""
    made = summary.own
    return all(trial.state in FINISHED for trial in made) and len(made) >= budget


def _kept(summary: StudySummary, best: int) -> set[int]:
    feasible = [trial for trial in summary.own if trial.feasible]
    kept = {*_best(feasible, best), *(trial.parent for trial in summary.trials)}
    return kept | ({summary.baseline.number} if summary.baseline else set())


def _possible_parents(summary: StudySummary) -> set[int]:
    """Those that the sampler chooses parents from: of children feasible or not, of what goes on feasible ones."""
    feasible = [trial for trial in summary.own if trial.feasible]
    return {*_best(summary.own, NEAREST), *_best(feasible, NEAREST)}


def _best(trials: Sequence[TrialSummary], count: int) -> list[int]:
    complete = [trial for trial in trials if trial.state == "COMPLETE" and trial.value is not None]
    ranked = sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.number))
    return [trial.number for trial in ranked[:count]]
