"""What the learnt model believes: the worth of each layer's kernels, and how far the signal is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from phashopt.figures.heat import DEEP
from phashopt.figures.labels import layer_label
from phashopt.figures.palette import NEUTRAL_INK, TRIAL, VERMILION
from phashopt.figures.plotting import MARKS, cell, name_axes, panel_figure, plain_figure, point_size
from phashopt.figures.view import StudyView

BELIEF = "phashopt-belief"
SIGNAL = "phashopt-signal-weight"
TICKS = [0.1, 0.25, 0.5, 0.8, 1, 1.25, 2, 4, 10, 30, 100, 1000]
APART = 0.14  # of the axis, at least, between two ticks, so that their labels do not touch
SHADE = 0.2  # opacity of an interval


@dataclass(frozen=True)
class Curve:
    """By number of kernels of one layer, the errors expected as a share of the reference's: middle and 90% interval."""

    at: Sequence[int]
    low: Sequence[float]
    middle: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Belief:
    """The curves by width parameter, the trial that they are relative to, and the signal's weight by trial."""

    reference: int
    curves: Mapping[str, Curve]
    signal: Mapping[int, float] = field(default_factory=dict)


def belief_plots(view: StudyView, belief: Belief | None) -> dict[str, go.Figure]:
    """The plots by name: none without a belief, none of the signal where no decision states its weight."""
    if belief is None:
        return {}
    plots = {BELIEF: deep_worth(belief) if len(belief.curves) > DEEP else worth_curves(view, belief)}
    return plots | ({SIGNAL: signal_weight(belief.signal)} if belief.signal else {})


def worth_curves(view: StudyView, belief: Belief) -> go.Figure:
    """Errors by kernels, a panel a layer, with baseline and best where they stand on the curve."""
    figure = panel_figure("What another width is believed to change", list(map(layer_label, belief.curves)))
    for index, (name, curve) in enumerate(belief.curves.items()):
        place: dict[str, Any] = {**cell(index, len(belief.curves)), "showlegend": index == 0}
        words = f"%{{x}} kernels: %{{y:.0%}} of the errors of trial {belief.reference}"
        _band(figure, curve, TRIAL, "median and 90% interval", words, **place)
        expected: dict[float, float] = dict(zip(curve.at, curve.middle, strict=True))
        for role, number in view.marked.items():
            kernels = view.numbers(name)[number]
            if kernels in expected:
                _mark(figure, kernels, expected[kernels], role, **place)
    name_axes(figure, "kernels", "errors", max(max(curve.at) for curve in belief.curves.values()))
    figure.update_xaxes(dtick=None, rangemode="tozero")
    shown = _shared_range(belief.curves.values())
    return figure.update_yaxes(type="log", tickformat=".0%", tickvals=_ticks(*shown), range=shown)


def deep_worth(belief: Belief) -> go.Figure:
    """Errors when one layer alone is at its narrowest or at its widest, layer by layer."""
    figure = plain_figure("What the narrowest and the widest setting of each layer are believed to change")
    layers = range(1, len(belief.curves) + 1)
    for name, colour, end in (("narrowest", VERMILION, 0), ("widest", TRIAL, -1)):
        ends = [(curve.low[end], curve.middle[end], curve.high[end]) for curve in belief.curves.values()]
        words = f"layer %{{x}} at its {name}: %{{y:.0%}} of the errors of trial {belief.reference}"
        _band(figure, Curve(layers, *zip(*ends, strict=True)), colour, name, words)
    figure.update_xaxes(title_text="layer", tickformat="d")
    return figure.update_yaxes(title_text="errors", tickformat=".0%")


def signal_weight(weights: Mapping[int, float]) -> go.Figure:
    """The probability that redundancy tells something of a layer's worth, as each decision stated it."""
    figure = plain_figure("Weight of the signal, trial by trial")
    figure.add_scatter(
        x=list(weights),
        y=list(weights.values()),
        mode="lines+markers",
        line={"color": TRIAL, "width": 2},
        marker={"symbol": "circle", "size": point_size(len(weights))},
        name="weight",
        showlegend=False,
        hovertemplate="trial %{x}: %{y:.2f}<extra></extra>",
    )
    figure.add_hline(y=0.5, line={"dash": "dot", "width": 1.2, "color": NEUTRAL_INK})
    figure.update_xaxes(title_text="trial", tickformat="d")
    return figure.update_yaxes(title_text="weight", range=[-0.04, 1.04]).update_layout(height=300, margin_b=60)


def _shared_range(curves: Iterable[Curve]) -> list[float]:
    """One scale for all layers, so that they can be compared; in powers of ten, as the errors of a band span some."""
    ends = [math.log10(value) for curve in curves for value in (*curve.low, *curve.high)]
    margin = 0.06 * (max(ends) - min(ends)) + 0.002
    return [min(ends) - margin, max(ends) + margin]


def _ticks(low: float, high: float) -> list[float]:
    """Those of `TICKS` between two powers of ten that have room: the same errors first, then from there outwards."""
    kept: list[float] = []
    for tick in sorted(TICKS, key=lambda tick: abs(math.log10(tick))):
        at = math.log10(tick)
        if low <= at <= high and all(abs(at - math.log10(other)) >= APART * (high - low) for other in kept):
            kept.append(tick)
    return sorted(kept)


def _band(figure: go.Figure, curve: Curve, colour: str, name: str, words: str, **place: Any) -> None:
    """The middle as a line, from low to high as a shade of the same colour."""
    line = {"color": colour, "width": 2}
    shared = {"mode": "lines", "name": name, "legendgroup": name, **place}
    figure.add_scatter(
        x=[*curve.at, *reversed(curve.at)],
        y=[*curve.high, *reversed(curve.low)],
        fill="toself",
        opacity=SHADE,
        fillcolor=colour,
        line={"color": colour, "width": 0},
        hoverinfo="skip",
        **{**shared, "showlegend": False},
    )
    figure.add_scatter(
        x=list(curve.at), y=list(curve.middle), line=line, hovertemplate=words + "<extra></extra>", **shared
    )


def _mark(figure: go.Figure, kernels: float, errors: float, role: str, **place: Any) -> None:
    figure.add_scatter(
        x=[kernels],
        y=[errors],
        mode="markers",
        marker=MARKS[role],
        name=role,
        legendgroup=role,
        hovertemplate=f"{role}: %{{x}} kernels<extra></extra>",
        **place,
    )
