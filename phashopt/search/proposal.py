"""What a strategy answers: the next training, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from phashopt.search.space import Point
from phashopt.search.start import Start


@dataclass(frozen=True)
class Proposal:
    """Widths and length to train next, in words why, and values of other parameters; the rest is the base sampler's.

    `parent` is the finished trial whose weights it takes over: it begins anew with these where its `start` is another
    than its parent's own, and else goes on from the parent's stable phase. Where it goes on beyond the range of lengths
    it is `longer` than the point says.
    """

    point: Point
    reason: str
    others: Mapping[str, Any] = field(default_factory=dict)
    parent: int | None = None
    start: Start | None = None
    longer: int | None = None
