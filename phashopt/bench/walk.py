"""The paper's section IV walked to the letter: reduce a redundant layer, then grow another while its maps differ.

The search's rule (`phashopt.search.rule`) weighs many trials and works under caps. The paper walks from one network to
the next and stops by eye; here it stops by a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phashopt.search.curve import still_improving
from phashopt.search.space import Axis
from phashopt.service.summary import TrialSummary

SUITABLE = 0.25  # the largest share of a layer's kernels that may be wasted; the paper names no number


@dataclass(frozen=True)
class Step:
    """The widths to train next and why; `widths` is None where the walk ends."""

    widths: dict[str, int] | None
    why: str


@dataclass(frozen=True)
class Walk:
    """`reduced` loses kernels until its similarity is suitable, then `grown` gains them as long as its own is.

    `axes` are the kernel counts that the two layers may have, by width parameter.
    """

    axes: dict[str, Axis]
    reduced: str
    grown: str

    def next_step(self, trials: Sequence[TrialSummary]) -> Step:
        """What follows from the readings of `trials`, the walk so far, its starting point first."""
        here = trials[-1]
        if here.params[self.grown] != trials[0].params[self.grown]:
            return self._grow(here, trials[-2])
        if wasted(here, self.reduced) <= SUITABLE:
            return self._grow(here, here, f"{_reading(here, self.reduced)}, which is suitable. ")
        fewer = self.axes[self.reduced].down(here.params[self.reduced])
        if fewer == here.params[self.reduced]:
            return self._grow(here, here, f"{_reading(here, self.reduced)}, but the grid has no fewer. ")
        trained = "trained as long as may be" if still_improving(here.trace) else "trained out"
        why = f"{_reading(here, self.reduced)} though {trained}: reduced to {fewer}"
        return Step(self._with(here, self.reduced, fewer), why)

    def _grow(self, here: TrialSummary, before: TrialSummary, found: str = "") -> Step:
        """Grow while the similarity is suitable; the last width at which it was is the walk's answer."""
        found += _reading(here, self.grown)
        if wasted(here, self.grown) > SUITABLE:
            last = "it is not grown" if before is here else f"{before.params[self.grown]} was the last suitable width"
            return Step(None, f"{found}, too many: {last}")
        more = self.axes[self.grown].up(here.params[self.grown])
        if more == here.params[self.grown]:
            return Step(None, f"{found}, suitable even at the largest width")
        return Step(self._with(here, self.grown, more), f"{found}: grown to {more}")

    def _with(self, here: TrialSummary, name: str, kernels: int) -> dict[str, int]:
        return {axis: here.params[axis] for axis in self.axes} | {name: kernels}


def wasted(trial: TrialSummary, layer: str) -> float:
    """The share of a layer's kernels that show nothing, or what another one shows (S >= 0.80).

    Dead maps are one like the other: to the paper's similarity they are copies.
    """
    dead, copies = (float(trial.attrs[f"{reading}.{layer}"]) for reading in ("dead", "duplicates"))
    return dead + (1 - dead) * copies


def _reading(trial: TrialSummary, layer: str) -> str:
    return f"{wasted(trial, layer):.0%} of the {trial.params[layer]} kernels of {layer} are near-copies or dead"
