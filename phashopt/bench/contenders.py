"""What a searched network is compared with: a rival's networks, other widths and other lengths of the same training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose

from phashopt.bench.retrain import Variant
from phashopt.plans import ImageShape
from phashopt.search.coding import Coding
from phashopt.search.fit import uniform
from phashopt.search.space import RATE, Space
from phashopt.service.ranges import FloatRange, ends, middle
from phashopt.service.searching import limits
from phashopt.service.spec import Spec
from phashopt.service.summary import StudySummary, TrialSummary

RATE_STEP = 2.0


@dataclass(frozen=True)
class Contender:
    """A row of the table: the variants that the validation images choose from, and what is to be known of it."""

    name: str
    variants: tuple[Variant, ...]
    note: str = ""


def full_length(spec: Spec) -> int:
    """The most epochs that a trial may have."""
    return int(max(ends(spec.training.epochs)))


def variant_of(spec: Spec, summary: StudySummary, trial: TrialSummary) -> Variant:
    """A trial's network from scratch, for as long as its kernels were trained, those that it inherited included.

    Not beyond the range of lengths, which bounds every other row. With the rate and all else that its line began with:
    a child's own are those to go on with.
    """
    begun = summary.founder(trial).params
    numbers = {name: begun.get(name, middle(entry)) for name, entry in spec.training.numbers.items()}
    numbers["epochs"] = min(trial.epochs_used + trial.epochs_inherited, full_length(spec))
    return Variant(tuple(int(trial.params[name]) for name in spec.grids), numbers)


def best_of(spec: Spec, summary: StudySummary, order: Sequence[int] | None, top: int) -> tuple[Variant, ...]:
    """The `top` finished feasible trials of a search in `order` (their numbers), by accuracy without one."""
    finished = [trial for trial in summary.trials if trial.feasible and trial.state == "COMPLETE"]
    by_accuracy = sorted(finished, key=lambda trial: (-(trial.value or 0.0), trial.number))
    numbers = [trial.number for trial in by_accuracy] if order is None else list(order)
    known = {trial.number: trial for trial in finished}
    return tuple(variant_of(spec, summary, known[number]) for number in numbers if number in known)[:top]


def with_rates(spec: Spec, variant: Variant, count: int) -> tuple[Variant, ...]:
    """The variant at `count` learning rates around its own, a factor of two apart and within the range searched."""
    searched = spec.training.learning_rate
    if not isinstance(searched, FloatRange):
        return (variant,)
    rates = [float(variant.numbers[RATE]) * RATE_STEP ** (step - count // 2) for step in range(count)]
    within = dict.fromkeys(float(f"{min(max(rate, searched.low), searched.high):.3g}") for rate in rates)
    return tuple(variant.changed(**{RATE: rate}) for rate in within)


def other_rates(spec: Spec, variant: Variant, count: int) -> tuple[Variant, ...]:
    """`with_rates` without the variant's own, which is rounded there."""
    own, rates = variant.numbers[RATE], with_rates(spec, variant, count)
    return tuple(each for each in rates if not isclose(each.numbers[RATE], own, rel_tol=0.01))


def before(spec: Spec) -> Variant:
    """The baseline as a study trains it: full length, the middle of every range."""
    numbers = {name: spec.baseline.get(name, middle(entry)) for name, entry in spec.training.numbers.items()}
    return Variant(tuple(spec.network.baseline), numbers)


def bare(spec: Spec, searched: Variant) -> Variant:
    """The baseline in the shortest training, without weight decay and label smoothing: the ladder's lowest rung."""
    return shortest(spec, searched).changed(weight_decay=0.0, label_smoothing=0.0)


def shortest(spec: Spec, searched: Variant) -> Variant:
    """The baseline with the recipe of `searched`, trained as short as the space allows."""
    least = int(min(ends(spec.training.epochs)))
    return Variant(tuple(spec.network.baseline), searched.numbers).changed(epochs=least)


def same_training(spec: Spec, searched: Variant) -> Variant:
    """The baseline's widths, trained as `searched` is."""
    return Variant(tuple(spec.network.baseline), searched.numbers)


def uniform_widths(spec: Spec, searched: Variant, image: ImageShape, classes: int) -> Variant:
    """All layers at one share of their ranges, filled up to the MACs of `searched`, trained as it is."""
    coding = Coding(spec.listed)
    axes = {name: coding.axis(name, spec.space[name]) for name in spec.grids}
    macs = spec.blueprint(searched.widths, image, classes).cost.macs
    capped = spec.model_copy(update={"limits": spec.limits.model_copy(update={"macs": float(macs), "params": None})})
    known = {name: axis for name, axis in axes.items() if axis is not None}
    point = uniform(Space(known, limits=limits(capped, image, classes)))
    return Variant(tuple(point[name] for name in spec.grids), searched.numbers)


def widest(spec: Spec, searched: Variant) -> Variant:
    """Every layer at the end of its range, trained as `searched` is, whatever it costs."""
    widths = tuple(grid.decode(grid.distribution.high) for grid in spec.grids.values())
    return Variant(widths, searched.numbers)


def longer(trained: Variant, compute: float, per_epoch: float, most: int) -> tuple[Variant, str]:
    """`trained` with the epochs that `compute` MACs more would pay at `per_epoch` MACs, at most `most` of them."""
    paid = int(trained.numbers["epochs"] + compute / per_epoch)
    epochs = max(min(paid, most), int(trained.numbers["epochs"]))
    note = f"{epochs} epochs" + (f", of {paid:,} that the search's compute would pay" if epochs < paid else "")
    return trained.changed(epochs=epochs), note
