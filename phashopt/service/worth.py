"""What more hours would bring to a study, at the speed that its trials were trained at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna import Study

from phashopt.errors import UserError
from phashopt.search import PHashSampler
from phashopt.search.gain import Gain, Training, by_searching, by_training_longer, in_hand
from phashopt.search.record import Record
from phashopt.search.space import LENGTH
from phashopt.service.belief import require_lessons
from phashopt.service.ranges import middle
from phashopt.service.spec import Spec
from phashopt.service.study import read_subject
from phashopt.service.summary import TrialSummary, summarize

POINTS = 100  # of accuracy
SHOWN = 3
TIMED = ("train_seconds", "signal_seconds", "train_macs", "images_seen")  # what a trial of a worker's carries


@dataclass(frozen=True)
class Worth:
    """`macs` is what `hours` of `workers` buy at `speed` MACs a second each; `longer` is None if length is fixed."""

    hours: float
    workers: int
    speed: float
    hand: Record
    searching: Gain
    longer: Gain | None

    @property
    def macs(self) -> float:
        """What may be spent."""
        return self.hours * 3600 * self.workers * self.speed

    def to_json(self) -> dict[str, Any]:
        """Plain values; gains in shares of accuracy."""
        return {
            "hours": self.hours,
            "workers": self.workers,
            "macs_per_second": self.speed,
            "macs": self.macs,
            "in_hand": self.hand.number,
            "expected_in_hand": self.searching.before,
            "searching": _gain_json(self.searching),
            "training_longer": _gain_json(self.longer) if self.longer else None,
        }

    def words(self) -> Iterator[str]:
        """A line for each thing to know."""
        team = "one worker" if self.workers == 1 else f"{self.workers} workers"
        yield f"{self.hours:g} h of {team}: {self.macs:.3g} MACs, at the {self.speed:.3g} a second measured here."
        yield (
            f"In hand: trial {self.hand.number} ({self.hand.value:.2%} of the validation images). "
            f"Without its luck {self.searching.before:.2%} are expected of it: from there gains count."
        )
        yield self._line("Searching on", self.searching, "trainings")
        if self.longer is None:
            yield "Training longer: nothing is known of it, since the spec fixes the epochs."
            return
        yield self._line("Training longer", self.longer, "finished trainings gone on with")
        better = "searching on" if self.searching.mean >= self.longer.mean else "training longer"
        least = max(self.searching.mean, self.longer.mean)
        yield f"Better used by {better}." if least > 0 else "Neither is expected to gain anything."

    def _line(self, what: str, gain: Gain, kind: str) -> str:
        if not gain.trainings:
            return f"{what}: no training is as short as that."
        count = len(gain.trainings)
        first = "; ".join(_shown(training) for training in gain.trainings[:SHOWN])
        more = f" and {count - SHOWN} more" if count > SHOWN else ""
        return (
            f"{what}: {_points(gain.mean)} points expected ({_interval(gain)}) from {count} "
            f"{kind if count > 1 else kind.replace('trainings', 'training')}: {first}{more}{self._left_over(gain)}."
        )

    def _left_over(self, gain: Gain) -> str:
        """What is imagined ends before the MACs do: the gain is no longer theirs."""
        prices = [training.price for training in gain.trainings]
        spent = sum(prices)
        ended = self.macs - spent >= max(prices)
        return f"; no more are imagined, and these take {spent / self.macs:.1%} of the MACs" if ended else ""


def worth(study: Study, spec: Spec, hours: float, workers: int) -> Worth:
    """Expected gains from the model of an opened study; raises `UserError` without model or finished trial."""
    if not isinstance(study.sampler, PHashSampler):
        raise UserError(f"there is no model of a study whose sampler is {spec.search.sampler}")
    model = study.sampler.model(study)
    require_lessons(study, model)
    complete = [trial for trial in summarize(study).own if trial.state == "COMPLETE"]
    own = [trial for trial in complete if trial.epochs_used > 0 and trial.attrs.keys() >= {*TIMED}]
    hand = in_hand(model)
    if hand is None or not own:
        raise UserError(f"study {study.study_name!r} has no finished feasible trial yet; let workers finish one")
    speed = _speed(own)
    images = min(trial.attrs["images_seen"] / trial.epochs_used for trial in own)  # a restarted one saw more
    subject = read_subject(study)

    def price(params: Mapping[str, Any], paid: int) -> float:
        cost = spec.cost({name: params[name] for name in spec.grids}, subject.image, len(subject.classes))
        epochs: int = params.get(LENGTH, middle(spec.training.epochs))
        return float(3 * cost.macs * images * (epochs - paid))

    budget = hours * 3600 * workers * speed
    searching = by_searching(model, budget, price)
    return Worth(hours, workers, speed, hand, searching, by_training_longer(model, budget, price))


def _speed(trials: Sequence[TrialSummary]) -> float:
    """MACs a second of one worker, readings included."""
    seconds = sum(trial.attrs["train_seconds"] + trial.attrs["signal_seconds"] for trial in trials)
    return float(sum(trial.attrs["train_macs"] for trial in trials) / seconds)


def _points(gain: float) -> str:
    """Percentage points, of which none has no sign but plus."""
    return f"{round(POINTS * gain, 2) + 0.0:+.2f}"


def _interval(gain: Gain) -> str:
    """Of few worlds with a great gain the mean lies beyond it."""
    low, mean, high = (_points(each) for each in (gain.low, gain.mean, gain.high))
    return f"90%: {low} to {high}" + ("; more in one world of twenty" if gain.mean > gain.high and mean != high else "")


def _shown(training: Training) -> str:
    if training.extends is not None:
        return f"trial {training.extends.number} to {training.params[LENGTH]} epochs"
    widths = "-".join(str(value) for name, value in training.params.items() if name.startswith("width_"))
    whose = f" with the kernels of trial {training.parent.number}" if training.parent else ""
    return widths + (f" for {training.params[LENGTH]} epochs" if LENGTH in training.params else "") + whose


def _gain_json(gain: Gain) -> dict[str, Any]:
    trainings = [
        {
            "params": dict(training.params),
            "macs": training.price,
            "extends": training.extends.number if training.extends else None,
            "parent": training.parent.number if training.parent else None,
        }
        for training in gain.trainings
    ]
    return {"gain": gain.mean, "low": gain.low, "high": gain.high, "trainings": trainings}
