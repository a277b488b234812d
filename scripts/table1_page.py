"""Table I as a page: before and after, the ladder, the rivals, and what may be concluded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

from results import Row as TableRow
from results import Tables

from phashopt.bench import comparison
from phashopt.bench.comparison import Part, Row
from phashopt.bench.confirm import welch_interval
from phashopt.bench.retrain import TOP

PAPER = {"mnist": (0.9807, 0.9942), "cifar10": (0.8225, 0.9161), "cifar100": (0.7741, 0.8779)}
LADDER = (comparison.BARE, comparison.RECIPE, comparison.LENGTH, comparison.SEARCHED)
GAIN = "gain over the row above (90%)"
RIVALS = (
    comparison.BEFORE,
    comparison.LENGTH,
    comparison.LONGER,
    comparison.UNIFORM,
    comparison.WIDEST,
    comparison.RIVAL,
)

HOW_TO_READ = """
## How to read this

- Test accuracy, mean and standard deviation over {seeds} fresh seeds, the same ones in every row of a study. No
  choice sees a test image: networks are chosen by the searches, rates and candidates by the validation images with a
  seed that judges nobody. Intervals are Welch's, 90%. What judges is not trained on its validation images; where
  choices were made in small, most of the images that chose are among those that every row is trained on in full.
- `before` is the spec's baseline at full length with the middle of every other range. The other rows of a study share
  its augmentation and have the numbers of the searched network, but for the row's own change, and TPE's its own; the
  rate is the best of a few in every row, `trained longer instead` at that of `+ length`.
- Compute is in multiply-accumulates: three passes an image, and the readings. TPE had the compute of the search; its
  proposals are moved under the caps and filled up to them, and it reads nothing but the network a trial ends with, at
  its own expense.
- Seconds are of the clock, whatever else ran beside; those above are of all searches and of the trainings that judge,
  one after the other. The command is that of the last sitting: without `--minutes` it goes on to the end.
- **Only the row `searched widths` of a ladder may be credited to the search** of widths: recipe, length and family are
  anybody's. A family comes with batches, augmentation, lengths and a cap of its own."""

CIFAR100 = """\
- CIFAR-100, 87.79%: as top-1 accuracy from scratch this is PyramidNet + ShakeDrop + cutout territory (1,800 epochs),
  far from the two layers that the paper describes. As top-5 accuracy, 77 to 88% is what a small network shows whose
  top-1 accuracy is 45 to 60%. As accuracy on the training images it is a matter of length and width. The column `test`
  answers the first reading, `top-5` the second, `training images` the third."""


def tables_of(parts: dict[str, Part], sittings: Mapping[str, Sequence[Mapping[str, Any]]]) -> Tables:
    """Before and after, every study against its rivals, a ladder for each of the paper's networks, who judged what."""
    both = {name: part for name, part in parts.items() if comparison.BEFORE in part.rows}
    tables: Tables = {"Before and after": [before_and_after(name, part) for name, part in both.items()]}
    for name, part in parts.items():
        tables[f"{name}: the searched network against what else could be had"] = rivals(part)
    for name, part in parts.items():
        if part.spec.network.family == "plain":
            dataset = part.spec.data.dataset
            families = {other: parts[other] for other in parts if other != name}
            families = {other: each for other, each in families.items() if each.spec.data.dataset == dataset}
            tables[f"{name}: the ladder, one change a row"] = ladder(part, families)
    tables["When the rows were judged"] = [
        {"study": name, **{key: ", ".join(value) if key == "rows" else value for key, value in sitting.items()}}
        for name, each in sittings.items()
        for sitting in each
    ]
    return {title: rows for title, rows in tables.items() if rows}


def before_and_after(name: str, part: Part) -> TableRow:
    """One line a study, as the paper's table has it."""
    first, last = part.rows[comparison.BEFORE], part.rows[comparison.SEARCHED]
    claimed = PAPER.get(part.spec.data.dataset)
    return {
        "study": name,
        "paper's before and after": "-" if claimed is None else " -> ".join(f"{share:.2%}" for share in claimed),
        "before": spread(first.test),
        "after": spread(last.test),
        "gain (90%)": gain(last.test, first.test),
        f"top-{TOP} before": spread(first.of(f"top{TOP}")),
        f"top-{TOP} after": spread(last.of(f"top{TOP}")),
        "training images, after": spread(last.of("training")),
        "MACs": f"{amount(first.macs)} -> {amount(last.macs)}",
        "parameters": f"{amount(first.params)} -> {amount(last.params)}",
        "search": f"{part.search['trials']} trials, {amount(part.search['macs'])} MACs, {part.search['seconds']} s",
    }


def rivals(part: Part) -> list[TableRow]:
    """The searched network and every other row, with what the search won over it."""
    searched = part.rows[comparison.SEARCHED]
    spent = {comparison.SEARCHED: part.search["macs"], comparison.RIVAL: part.rival["macs"] if part.rival else 0}
    return [
        {
            **described(row),
            "chosen with, MACs": amount(spent.get(row.name, 0) + row.choosing_macs),
            "searched better by (90%)": "" if row is searched else gain(searched.test, row.test),
            "": row.note,
        }
        for row in (searched, *(part.rows[name] for name in RIVALS if name in part.rows))
    ]


def ladder(part: Part, families: dict[str, Part]) -> list[TableRow]:
    """One change a row, as far as they are judged: a gain is told over the rung below alone, since over any other it
    would be several changes'. The families stand on the same rung, each against the searched widths.
    """
    judged, searched = part.rows, part.rows[comparison.SEARCHED]
    changes = {
        name: gain(judged[name].test, judged[below].test) if below in judged else f"`{below}` is not judged yet"
        for below, name in pairwise(LADDER)
        if name in judged
    }
    rows = [{**described(judged[name]), GAIN: changes.get(name, "")} for name in LADDER if name in judged]
    for name, family in families.items():
        row = family.rows[comparison.SEARCHED]
        same = family.spec.data == part.spec.data
        change = f"{gain(row.test, searched.test)}, over {comparison.SEARCHED}" if same else "on other training images"
        rows.append({**described(row), "row": f"+ family: {name}", GAIN: change})
    return rows


def described(row: Row) -> TableRow:
    """What a row is and what it scored."""
    return {
        "row": row.name,
        "kernels": "-".join(map(str, row.widths)),
        "MACs": amount(row.macs),
        "parameters": amount(row.params),
        "epochs": row.numbers["epochs"],
        "rate": f"{row.numbers['learning_rate']:.3g}",
        "test": spread(row.test),
        f"top-{TOP}": spread(row.of(f"top{TOP}")),
        "training images": spread(row.of("training")),
        "one training, MACs": amount(row.training_macs),
        "seconds": round(mean(row.of("seconds")), 1),
    }


def notes(parts: dict[str, Part], told: Mapping[str, Mapping[str, Any]]) -> str:
    """What the numbers are, which reading of the paper each one answers, and what the search may be credited with."""
    seeds = {name: len(part.rows[comparison.SEARCHED].scores) for name, part in parts.items()}
    told_apart = ", ".join(f"{count} ({name})" for name, count in seeds.items())
    lines = [HOW_TO_READ.format(seeds=told_apart if len(set(seeds.values())) > 1 else min(seeds.values()))]
    for name, part in parts.items():
        lines.append(f"- {name}: {verdict(part)}")
        if changed := told[name]["overrides"]:
            lines.append(f"- {name}: **changed from the spec:** `{'`, `'.join(changed)}`.")
        if small := told[name]["small"]:
            lines.append(
                f"- {name}: **all choices were made in small** (`{'`, `'.join(small)}`), every row is judged in full."
            )
        if part.missing:
            lines.append(f"- {name}: not complete yet ({', '.join(part.missing)}).")
    if any(part.spec.data.dataset == "cifar100" for part in parts.values()):
        lines.append(CIFAR100)
    return "\n".join(lines) + "\n"


def seconds_of(part: Part) -> float:
    """What its searches and the trainings that judge took, one after the other."""
    searches = part.search["seconds"] + (part.rival["seconds"] if part.rival else 0)
    return float(searches + sum(sum(row.of("seconds")) for row in part.rows.values()))


def verdict(part: Part) -> str:
    """Over which rows the searched network's gain is clear of zero."""
    searched = part.rows[comparison.SEARCHED]
    signs: dict[str, list[str]] = {"better than": [], "within seed noise of": [], "worse than": []}
    for name in (row for row in RIVALS if row in part.rows):
        low, high = welch_interval(searched.test, part.rows[name].test)
        word = "better than" if low > 0 else "worse than" if high < 0 else "within seed noise of"
        signs[word].append(f"`{name}`")
    return (
        "the searched network is "
        + (
            "; ".join(f"{word} {', '.join(rows)}" for word, rows in signs.items() if rows)
            or "compared with nothing yet"
        )
        + "."
    )


def gain(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The difference of two means in points, with its interval."""
    low, high = welch_interval(ours, theirs)
    return f"{100 * (mean(ours) - mean(theirs)):+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in per cent."""
    return f"{mean(values):.2%} +- {100 * stdev(values):.2f}"


def amount(number: float) -> str:
    """Three digits and a power of a thousand."""
    power = max(0, int(math.log10(max(number, 1)) // 3))
    return f"{number / 1000**power:.3g} {['', 'k', 'M', 'G', 'T', 'P', 'E'][power]}".strip()
