"""One study's part of the table: a search, its rival, and every row retrained with fresh seeds and judged on test.

All choices can be made on a `searched` copy of the spec with fewer images, which costs a fraction: widths and rates
found there are judged in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from phashopt.bench import contenders
from phashopt.bench.contenders import Contender
from phashopt.bench.retrain import Scores, Variant, load
from phashopt.bench.sitting import OutOfTimeError, Sitting
from phashopt.errors import UserError
from phashopt.service.belief import believed_order
from phashopt.service.spec import SearchTable, Spec, parse_spec
from phashopt.service.study import open_study
from phashopt.service.summary import StudySummary

BEFORE, BARE, RECIPE, LENGTH = "before: the baseline as it is", "the baseline, bare", "+ recipe", "+ length"
SEARCHED, RIVAL = "searched widths", "TPE + Hyperband at equal compute"
UNIFORM, WIDEST, LONGER = "uniform widths at the same MACs", "the widest net of the space", "trained longer instead"
ROWS = (SEARCHED, BEFORE, UNIFORM, RECIPE, BARE, LENGTH, RIVAL, WIDEST, LONGER)  # as they are judged, dearest last
UNLIMITED = 100_000  # trials of the rival, whose budget is compute
NEVER = 10**6  # epochs between the rival's readings: it reads nothing


@dataclass(frozen=True)
class Size:
    """How many fresh seeds judge; how many networks of each search, and rates of every other row, they meet before.

    `longest` bounds the training of the baseline that is to spend the search's compute, in full lengths.
    """

    seeds: int
    top: int
    rates: int
    longest: int


@dataclass(frozen=True)
class Row:
    """A network as it was judged: accuracies are of fresh seeds, the same ones in every row."""

    name: str
    widths: tuple[int, ...]
    numbers: dict[str, Any]
    macs: int
    params: int
    choosing_macs: float  # spent on the validation images that chose among variants
    training_macs: float  # of one training
    scores: list[Scores]
    note: str = ""

    @property
    def test(self) -> list[float]:
        """By seed."""
        return self.of("test")

    def of(self, what: str) -> list[float]:
        """One score, by seed."""
        return [score[what] for score in self.scores]

    def to_json(self) -> dict[str, Any]:
        """All of it, with mean and standard deviation (n - 1)."""
        return asdict(self) | {"mean": float(np.mean(self.test)), "std": float(np.std(self.test, ddof=1))}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Row:
        """What `to_json` told."""
        known = {each.name: told[each.name] for each in fields(cls)}
        return cls(**{**known, "widths": tuple(known["widths"])})


@dataclass(frozen=True)
class Part:
    """One study's rows as far as they are judged, in the order of `ROWS`, and what its searches spent, in MACs."""

    spec: Spec
    rows: dict[str, Row]
    search: dict[str, Any]
    rival: dict[str, Any] | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The rows that are not judged yet."""
        return tuple(name for name in ROWS if name not in self.rows)


def details_of(part: Part, searched: Spec) -> dict[str, Any]:
    """Every number of a part whose choices were made on `searched`, as JSON."""
    return {
        "spec": part.spec.model_dump(mode="json"),
        "searched": searched.model_dump(mode="json"),
        "search": part.search,
        "rival": part.rival,
        "rows": [row.to_json() for row in part.rows.values()],
    }


def part_of(details: Mapping[str, Any], spec: Spec | None = None, searched: Spec | None = None) -> Part:
    """What `details_of` told; raises `UserError` where that is of other specs than those given."""
    for name, given in (("spec", spec), ("searched", searched)):
        if given and details[name] != given.model_dump(mode="json"):
            raise UserError(f"{given.study.name} was published with another {name!r}; --keep alone goes on with that")
    rows = [Row.from_json(row) for row in details["rows"]]
    told = spec or parse_spec(details["spec"], "the spec that was published")
    return Part(told, {row.name: row for row in rows}, details["search"], details["rival"])


class Comparison:
    """The searches of one spec and the trainings that judge them, in sittings; choices are made on `searched`.

    The rows of `known`, a part that was published, are not judged again: any machine may go on with the others.
    """

    def __init__(
        self, spec: Spec, size: Size, sitting: Sitting, searched: Spec | None = None, known: Part | None = None
    ) -> None:
        self._spec = spec
        self._searched = searched or spec
        self._size = size
        self._sitting = sitting
        self._known = known
        self._data = load(spec, sitting.data_dir)
        self._images = len(load(self._searched, sitting.data_dir).train)

    def part(self) -> Part:
        """Work until all of it is there, or the searched network at least; raises `OutOfTimeError` before that.

        No choice sees a test image: what stands in a row is chosen on validation images before that row is judged.
        """
        if self._known:
            after, search = self._known.rows[SEARCHED], self._known.search
            ours = Contender(SEARCHED, (Variant(after.widths, after.numbers),))
        else:
            summary = self._sitting.search(self._searched)
            order = believed_order(*open_study(self._sitting.url, self._searched.study.name))
            found = contenders.best_of(self._searched, summary, order, self._size.top)
            ours, search = self._finalists(SEARCHED, found), spent(summary)
        rival = rival_of(self._searched, search["macs"])
        rows = self._rows(ours, rival)
        return Part(self._spec, rows, search, self._spent_by(rival) if RIVAL in rows else None)

    def _spent_by(self, rival: Spec) -> dict[str, Any]:
        if self._known and self._known.rival:
            return self._known.rival
        return spent(self._sitting.search(rival))

    def _rows(self, ours: Contender, rival: Spec) -> dict[str, Row]:
        """Those there is time for; raises `OutOfTimeError` where the searched network is not among them."""
        searched = self._choose(ours)
        known = self._known.rows if self._known else {}
        rows: dict[str, Row] = {}
        for name in ROWS:
            if name in known:
                rows[name] = known[name]
                continue
            try:
                contender = ours if name == SEARCHED else self._contender(name, searched, rival)
                rows[name] = self._judge(contender, self._choose(contender))
            except OutOfTimeError:
                if name == SEARCHED:
                    raise
        return rows

    def _contender(self, name: str, searched: Variant, rival: Spec) -> Contender:
        """What a row may consist of; all but `before` and `longer` stand there at the best of a few rates."""
        spec, data = self._spec, self._data
        if name == BEFORE:
            return Contender(name, (contenders.before(spec),))
        if name == LONGER:
            return self._longer(searched, rival.study.max_compute or 0.0)
        if name == RIVAL:
            found = contenders.best_of(rival, self._sitting.search(rival), None, self._size.top)
            return self._finalists(name, found)
        variants: dict[str, Callable[[Spec, Variant], Variant]] = {
            BARE: contenders.bare,
            RECIPE: contenders.shortest,
            LENGTH: contenders.same_training,
            UNIFORM: partial(contenders.uniform_widths, image=data.shape, classes=len(data.classes)),
            WIDEST: contenders.widest,
        }
        return self._tuned(name, variants[name](spec, searched))

    def _longer(self, searched: Variant, compute: float) -> Contender:
        """The baseline at its best rate, trained on with the compute of the search."""
        alike = contenders.same_training(self._spec, searched)
        tuned = self._choose(self._tuned(LENGTH, alike))
        per_epoch = self._training_macs(tuned, len(self._data.train)) / int(tuned.numbers["epochs"])
        most = self._size.longest * contenders.full_length(self._spec)
        variant, note = contenders.longer(tuned, compute, per_epoch, most)
        return Contender(LONGER, (variant,), note)

    def _tuned(self, name: str, variant: Variant) -> Contender:
        return Contender(name, contenders.with_rates(self._spec, variant, self._size.rates))

    def _finalists(self, name: str, found: tuple[Variant, ...]) -> Contender:
        """The first networks of a search, and the best of them at the rates that every other row may choose from."""
        if not found:
            raise UserError(f"{name}: no feasible trial finished; give the search more trials, or raise its cap")
        best = self._choose(Contender(name, found))
        return Contender(name, (*found, *contenders.other_rates(self._spec, best, self._size.rates)))

    def _choose(self, contender: Contender) -> Variant:
        """The variant that does best on validation images, with a seed that judges nobody."""
        if len(contender.variants) == 1:
            return contender.variants[0]
        scores = self._sitting.retrain(self._searched, [(variant, "choose", 0) for variant in contender.variants])
        best = int(np.argmax([score["validation"] for score in scores]))
        return contender.variants[best]

    def _judge(self, contender: Contender, variant: Variant) -> Row:
        spec, data = self._spec, self._data
        scores = self._sitting.retrain(spec, [(variant, "judge", seed) for seed in range(self._size.seeds)])
        tries = contender.variants if len(contender.variants) > 1 else ()
        cost = variant.cost(data, spec)
        diverged = sum(score.get("diverged", False) for score in scores)
        said = f"{diverged} of {len(scores)} diverged: as good as guessing"
        return Row(
            contender.name,
            variant.widths,
            dict(variant.numbers),
            cost.macs,
            cost.params,
            choosing_macs=sum(self._training_macs(each, self._images) for each in tries),
            training_macs=self._training_macs(variant, len(data.train)),
            scores=scores,
            note="; ".join(filter(None, [contender.note, said if diverged else ""])),
        )

    def _training_macs(self, variant: Variant, images: int) -> float:
        """Three passes of every image."""
        return 3.0 * variant.cost(self._data, self._spec).macs * images * int(variant.numbers["epochs"])


def rival_of(spec: Spec, budget: float) -> Spec:
    """The same study by Optuna's TPE, told the caps, and Hyperband, until as many MACs are spent."""
    study = {"name": f"{spec.study.name}-tpe", "trials": UNLIMITED, "max_compute": budget}
    return spec.model_copy(
        update={
            "study": spec.study.model_copy(update=study),
            "search": SearchTable(sampler="phashopt.bench.capped:CappedTPE", pruner="HyperbandPruner"),
            "signal": spec.signal.model_copy(update={"every": NEVER}),
        }
    )


def compute(summary: StudySummary) -> float:
    """What a search spent, in MACs: three passes an image, and the readings."""
    return float(sum(trial.attrs.get("train_macs", 0) for trial in summary.trials))


def spent(summary: StudySummary) -> dict[str, Any]:
    """What a search cost."""
    states = [trial.state for trial in summary.trials]
    seconds = sum(trial.attrs.get(key, 0) for trial in summary.trials for key in ("train_seconds", "signal_seconds"))
    return {
        "trials": len(states),
        "stopped early": states.count("PRUNED"),
        "failed": states.count("FAIL"),
        "macs": compute(summary),
        "seconds": round(seconds),
    }
