"""Retrain chosen configurations with fresh seeds: the validation images choose, images never scored judge.

Where there was a choice, other seeds judge than those that chose: a network that is picked for what a seed of it scored
on some images is a lucky one on all others too.

A child runs twice: as it was bred, from its parent's kernels, and from scratch for as long as its ancestors and it were
trained together, at the learning rate and all else that its line began with: a child's own rate is one to train on at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import stats

from phashopt.errors import UserError
from phashopt.networks import build
from phashopt.service.objective import trial_seed
from phashopt.service.spec import Spec
from phashopt.service.summary import StudySummary, TrialSummary
from phashopt.training.data import DataSet, Images
from phashopt.training.loop import Diverged, Trainer, evaluate
from phashopt.training.run import Origin

FRESH = 1_000_000  # a trial number that no study reaches: its seeds are new
CONFIDENCE = 0.9
FAIR = 3  # seeds that every configuration gets before it may leave the race

Split = Literal["test", "held_out"]


@dataclass(eq=False)  # hashed as itself
class Entrant:
    """One configuration and what fresh seeds of it scored, on the images that choose and on those that judge.

    It begins with the kernels of its `origin`, else with random ones, and is trained for `epochs` as `params` say.
    """

    trial: TrialSummary
    params: Mapping[str, Any]
    epochs: int
    origin: Origin | None = None
    validation: list[float] = field(default_factory=list)
    judged: list[float] = field(default_factory=list)
    running: bool = True

    def beaten_by(self, other: Entrant, confidence: float = CONFIDENCE) -> bool:
        """Whether the interval between the two on validation images is clear of zero."""
        return len(self.validation) >= FAIR and welch_interval(self.validation, other.validation, confidence)[1] < 0

    def to_json(self, baseline: Entrant) -> dict[str, Any]:
        """Mean, standard deviation (n - 1) and the gain over `baseline` with its interval, all as judged."""
        low, high = welch_interval(self.judged, baseline.judged)
        attrs = self.trial.attrs
        return {
            "trial": self.trial.number,
            "kernels": attrs["kernels"],
            "params": dict(self.params),
            "epochs": self.epochs,
            "start": "inherited" if self.origin else "scratch",
            "macs": attrs["macs"],
            "parameters": attrs["params"],
            "validation": self.validation,
            "accuracies": self.judged,
            "mean": float(np.mean(self.judged)),
            "std": float(np.std(self.judged, ddof=1)),
            "gain": float(np.mean(self.judged) - np.mean(baseline.judged)),
            "interval": [low, high],
            "within_seed_noise": self is not baseline and low <= 0 <= high,
        }


class Race:
    """The baseline and its challengers, a fresh seed each round.

    A challenger leaves once the best of them beats it; all the looks that are taken share one error of 10%. Neither the
    judging images nor the seeds that judge `chosen` have a say in this. `origins` are those of the trials that are
    children, `founders` the trials that these lines began with.
    """

    def __init__(
        self,
        spec: Spec,
        data: DataSet,
        trials: Sequence[TrialSummary],
        split: Split,
        origins: Mapping[int, Origin] | None = None,
        *,
        founders: Mapping[int, TrialSummary] | None = None,
    ) -> None:
        self._spec = spec
        self._data = data
        self._judges = judging_images(data, split)
        self.entrants = [
            entrant
            for trial in trials
            for entrant in self._enter(trial, (origins or {}).get(trial.number), (founders or {}).get(trial.number))
        ]
        self.baseline, *self.challengers = self.entrants

    @property
    def chosen(self) -> Entrant:
        """The running challenger with the best mean on validation images; the baseline where it has none."""
        running = [entrant for entrant in self.challengers if entrant.running]
        return max(running, key=lambda entrant: float(np.mean(entrant.validation)), default=self.baseline)

    def run(self, seeds: int) -> Iterator[Entrant]:
        """Yield each entrant when it has been trained with one seed more, `seeds` rounds in all."""
        looks = max(len(self.challengers) - 1, 1) * max(seeds - FAIR, 1)  # at the last one nothing is left to be saved
        for round_ in range(seeds):
            for entrant in self.entrants:
                if entrant.running:
                    validation, judged = self._retrain(entrant, round_)
                    entrant.validation.append(validation)
                    entrant.judged.append(judged)
                    yield entrant
            best = self.chosen
            for entrant in self.challengers:
                entrant.running = entrant.running and not entrant.beaten_by(best, 1 - (1 - CONFIDENCE) / looks)

    def judge(self, seeds: int) -> Iterator[Entrant]:
        """Yield the baseline and the chosen one when each was judged by one more of `seeds` others than those of `run`.

        Nothing where there was no choice: it is the seeds of `run` that judge then.
        """
        if len(self.challengers) < 2:
            return
        judged = list(dict.fromkeys([self.baseline, self.chosen]))
        for entrant in judged:
            entrant.judged = []
        for round_ in range(seeds):
            for entrant in judged:
                entrant.judged.append(self._retrain(entrant, seeds + round_)[1])
                yield entrant

    def _enter(self, trial: TrialSummary, origin: Origin | None, founder: TrialSummary | None) -> Iterator[Entrant]:
        """From scratch, for as long as it and its ancestors, and if it has an `origin` as a child."""
        widths = {name: value for name, value in trial.params.items() if name in self._spec.grids}
        begun = {**(founder or trial).params, **widths}
        yield Entrant(trial, begun, trial.epochs_used + trial.epochs_inherited)
        if origin is not None:
            yield Entrant(trial, trial.params, trial.epochs_used, origin)

    def _retrain(self, entrant: Entrant, number: int) -> tuple[float, float]:
        """From the first epoch with fresh seed `number`: its accuracy on the images that choose and that judge.

        One that diverges is as good as guessing.
        """
        spec, data = self._spec, self._data
        widths = [int(entrant.params[name]) for name in spec.grids]  # kernel counts already, on whatever grid
        blueprint = spec.blueprint(widths, data.shape, len(data.classes))
        recipe = spec.recipe({**entrant.params, "epochs": entrant.epochs}, data.mirrored)
        seed = trial_seed(spec.study.seed, FRESH + number)
        network = entrant.origin.network(seed) if entrant.origin else build(blueprint, seed)
        trainer = Trainer(network, recipe, data.train, seed)
        try:
            while not trainer.finished:
                trainer.train_epoch()
        except Diverged:
            return 1 / len(data.classes), 1 / len(data.classes)
        return evaluate(trainer.network, data.validation).accuracy, evaluate(trainer.network, self._judges).accuracy


def candidates(summary: StudySummary, top: int, order: Sequence[int] | None = None) -> list[TrialSummary]:
    """The baseline, then the `top` feasible trials by `order` (their numbers), by accuracy without one.

    Only what a worker of this study trained. Raises `UserError` if the study has neither yet.
    """
    if summary.baseline is None or summary.baseline.value is None or summary.best is None:
        raise UserError(f"study {summary.name!r} has no finished baseline and feasible trial yet; let workers finish")
    trained = [trial for trial in summary.own if trial.epochs_used > 0 and "macs" in trial.attrs]
    finished = [trial for trial in trained if trial.feasible and trial.state == "COMPLETE"]
    best = sorted(finished, key=lambda trial: (-(trial.value or 0.0), trial.number))
    if order is not None:
        best = sorted(finished, key=lambda trial: order.index(trial.number) if trial.number in order else len(order))
    return [summary.baseline, *[trial for trial in best if trial is not summary.baseline][:top]]


def judging_images(data: DataSet, split: Split) -> Images:
    """The images to judge on; raises `UserError` if the spec holds none out."""
    images = data.test if split == "test" else data.held_out
    if images is None:
        raise UserError("the spec holds no images out; set data.held_out, or judge on --split test")
    return images


def welch_interval(
    ours: Sequence[float], theirs: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """The interval of the difference of two means of unequal variance (Welch 1947); infinite for one seed."""
    if min(len(ours), len(theirs)) < 2:
        return -math.inf, math.inf
    variances = [np.var(sample, ddof=1) / len(sample) for sample in (ours, theirs)]
    gain, total = float(np.mean(ours) - np.mean(theirs)), float(sum(variances))
    if total == 0:
        return gain, gain
    sizes = (len(ours), len(theirs))
    freedom = total**2 / sum(variance**2 / (size - 1) for variance, size in zip(variances, sizes, strict=True))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(total)
    return gain - half, gain + half
