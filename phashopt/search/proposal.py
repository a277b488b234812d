"""What a strategy answers: the next training, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from phashopt.search.space import Point


@dataclass(frozen=True)
class Proposal:
    """Widths and length to train next, in words why, and values of other parameters; the rest is the base sampler's.

    `extends` is the finished trial that it goes on from, whose weights it takes over.
    """

    point: Point
    reason: str
    others: Mapping[str, Any] = field(default_factory=dict)
    extends: int | None = None
