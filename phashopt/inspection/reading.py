"""Everything that is known of a network after looking at it: numbers layer by layer, and explained images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from phashopt.errors import UserError
from phashopt.figures.labels import group_letter, group_ranks
from phashopt.inspection.advice import UNTRAINED, suggest
from phashopt.inspection.caveats import caveats
from phashopt.inspection.cost import layer_macs
from phashopt.inspection.explain import Explanation, explain
from phashopt.inspection.probes import Probes, take_probes
from phashopt.inspection.subject import Subject
from phashopt.signal import LayerReport, baseline, measure
from phashopt.signal.units import convolutions
from phashopt.training.data import RawData, Standardisation

SHOWN = 6  # images in a sheet
SAMPLED = 32  # channels a layer of the baseline, whose mean similarity hardly depends on their number


@dataclass(frozen=True)
class Layer:
    """One layer's reading, its share of the MACs (None where it has no weights of its own) and a suggestion.

    `random_similarity` is the mean similarity of the same layer with its weights drawn anew, NaN if that was not read.
    """

    name: str
    report: LayerReport
    share: float | None
    suggestion: str
    random_similarity: float = math.nan

    @property
    def groups(self) -> dict[str, list[int]]:
        """The kernels of each group of two and more, under the letter that its boxes bear."""
        clusters = self.report.groups
        ranks = group_ranks(clusters)
        return {group_letter(rank): np.flatnonzero(clusters == cluster).tolist() for cluster, rank in ranks.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, NaN as None."""
        report = self.report
        fields = ("alive", "dead", "distinct", "redundancy", "mean_similarity", "vendi")
        return {
            "layer": self.name,
            "channels": report.width,
            **{field: _plain(getattr(report, field)) for field in fields},
            "interval": [_plain(end) for end in report.interval],
            "random_similarity": _plain(self.random_similarity),
            "duplicates": _plain(report.duplicate_rate),
            "groups": self.groups,
            "dead_kernels": np.flatnonzero(report.groups < 0).tolist(),
            "macs_share": self.share,
            "suggestion": self.suggestion,
            "fallback_ops": list(report.fallback_ops),
            "approximate_ops": list(report.approximate_ops),
            "no_switches": report.no_switches,
        }


@dataclass(frozen=True)
class Inspection:
    """A network's reading through `probes`; `explanation` is None where `notes` say why."""

    subject: Subject
    probes: Probes
    shown: list[int]  # the probes that go into sheets
    layers: list[Layer]
    macs: int
    params: int
    explanation: Explanation | None
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        known = self.probes.standardisation
        return {
            "model": self.subject.name,
            "is_trained": self.subject.is_trained,
            "macs": self.macs,
            "params": self.params,
            "probes": len(self.probes),
            "image": list(self.probes.pixels.shape[1:]),
            "mean": list(known.mean),
            "std": list(known.std),
            "layers": [layer.to_json() for layer in self.layers],
            "notes": self.notes,
        }


def inspect_network(
    subject: Subject,
    raw: RawData,
    *,
    probes: int,
    size: tuple[int, int] | None = None,
    layers: Sequence[str] | None = None,
    standardisation: Standardisation | None = None,
) -> Inspection:
    """Read `layers`, all convolutions by default, through `probes` images of `raw`, and explain some of them.

    `size` (H, W) and `standardisation` default to the subject's own, then to the data's. Raises `UserError` for images
    that the network cannot take, and as `measure` does.
    """
    network = subject.network
    first = network.get_submodule(convolutions(network)[0])
    assert isinstance(first, nn.Conv2d)
    seen = take_probes(
        raw, probes, first.in_channels, size or _size(subject), standardisation or subject.standardisation
    )
    macs = layer_macs(network, seen.images[:1])
    report = measure(network, seen.images, std=seen.standardisation.std, layers=layers)
    shown = np.linspace(0, len(seen) - 1, min(SHOWN, len(seen))).round().astype(int).tolist()
    notes = [] if subject.is_trained else ["The weights are random: this shows the architecture, not what it learnt."]
    notes += caveats(report)
    untrained = _untrained_similarity(subject, seen, list(report), notes)
    explanation = None
    try:
        explanation = explain(network, seen, shown, raw.classes)
    except UserError as error:
        notes.append(f"No Grad-CAM: {error}.")
    total = sum(macs.values())
    return Inspection(
        subject,
        seen,
        shown,
        [
            Layer(
                name,
                layer,
                macs[name] / total if name in macs else None,
                suggest(layer) if subject.is_trained else UNTRAINED,
                untrained.get(name, math.nan),
            )
            for name, layer in report.items()
        ],
        total,
        sum(parameter.numel() for parameter in network.parameters()),
        explanation,
        notes,
    )


def _untrained_similarity(subject: Subject, seen: Probes, layers: list[str], notes: list[str]) -> dict[str, float]:
    """By layer; nothing where the weights are random anyway, or where `notes` say why."""
    if not subject.is_trained:
        return {}
    deviations = seen.standardisation.std
    try:
        report = baseline(subject.network, seen.images, std=deviations, layers=layers, max_channels=SAMPLED)
    except UserError as error:
        notes.append(f"No similarity with random weights: {error}.")
        return {}
    return {name: layer.mean_similarity for name, layer in report.items()}


def _size(subject: Subject) -> tuple[int, int] | None:
    return None if subject.image is None else (subject.image.height, subject.image.width)


def _plain(number: float) -> float | int | None:
    return number if isinstance(number, int) else float(number) if math.isfinite(number) else None
