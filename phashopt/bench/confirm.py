"""Retrain chosen configurations with fresh seeds and judge them on images that the search never scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from phashopt.errors import UserError
from phashopt.networks import build
from phashopt.service.objective import trial_seed
from phashopt.service.spec import Spec
from phashopt.service.summary import StudySummary, TrialSummary
from phashopt.training.data import DataSet, Images
from phashopt.training.loop import Trainer, evaluate

FRESH = 1_000_000  # a trial number that no study reaches: its seeds are new
CONFIDENCE = 0.9

Split = Literal["test", "held_out"]


@dataclass(frozen=True)
class Confirmed:
    """One configuration retrained: its trial and the accuracy of each fresh seed on the judging split."""

    trial: TrialSummary
    accuracies: list[float]

    def to_json(self, baseline: Confirmed) -> dict[str, Any]:
        """Mean, standard deviation (n - 1) and the gain over `baseline` with its interval."""
        low, high = welch_interval(self.accuracies, baseline.accuracies)
        attrs = self.trial.attrs
        return {
            "trial": self.trial.number,
            "kernels": attrs["kernels"],
            "params": self.trial.params,
            "epochs": self.trial.epochs_used,
            "macs": attrs["macs"],
            "parameters": attrs["params"],
            "accuracies": self.accuracies,
            "mean": float(np.mean(self.accuracies)),
            "std": float(np.std(self.accuracies, ddof=1)),
            "gain": float(np.mean(self.accuracies) - np.mean(baseline.accuracies)),
            "interval": [low, high],
            "within_seed_noise": self is not baseline and low <= 0 <= high,
        }


def candidates(summary: StudySummary, top: int, order: Sequence[int] | None = None) -> list[TrialSummary]:
    """The baseline, then the `top` feasible trials by `order` (their numbers), by accuracy without one.

    Raises `UserError` if the study has neither yet.
    """
    if summary.baseline is None or summary.baseline.value is None or summary.best is None:
        raise UserError(f"study {summary.name!r} has no finished baseline and feasible trial yet; let workers finish")
    finished = [trial for trial in summary.trials if trial.feasible and trial.state == "COMPLETE"]
    best = sorted(finished, key=lambda trial: (-(trial.value or 0.0), trial.number))
    if order is not None:
        best = sorted(finished, key=lambda trial: order.index(trial.number) if trial.number in order else len(order))
    return [summary.baseline, *[trial for trial in best if trial is not summary.baseline][:top]]


def confirm(spec: Spec, data: DataSet, trial: TrialSummary, seeds: int, split: Split) -> Iterator[float]:
    """Retrain `trial`'s network as long as it was trained, once a fresh seed, and score it on `split`."""
    images = judging_images(data, split)
    blueprint = spec.blueprint([trial.params[name] for name in spec.grids], data.shape, len(data.classes))
    recipe = spec.recipe({**trial.params, "epochs": trial.epochs_used}, data.mirrored)
    for index in range(seeds):
        seed = trial_seed(spec.study.seed, FRESH + index)
        trainer = Trainer(build(blueprint, seed), recipe, data.train, seed)
        while not trainer.finished:
            trainer.train_epoch()
        yield evaluate(trainer.network, images).accuracy


def judging_images(data: DataSet, split: Split) -> Images:
    """The images to judge on; raises `UserError` if the spec holds none out."""
    images = data.test if split == "test" else data.held_out
    if images is None:
        raise UserError("the spec holds no images out; set data.held_out, or judge on --split test")
    return images


def welch_interval(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """The 90% interval of the difference of two means of unequal variance (Welch 1947); infinite for one seed."""
    if min(len(ours), len(theirs)) < 2:
        return -math.inf, math.inf
    variances = [np.var(sample, ddof=1) / len(sample) for sample in (ours, theirs)]
    gain, total = float(np.mean(ours) - np.mean(theirs)), float(sum(variances))
    if total == 0:
        return gain, gain
    sizes = (len(ours), len(theirs))
    freedom = total**2 / sum(variance**2 / (size - 1) for variance, size in zip(variances, sizes, strict=True))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total)
    return gain - half, gain + half
