"""What a child begins with: its parent's training, less what was lost on the way to its own widths.

docs/search.md, 5: every move costs something of its own, which training on wins back. A child of 3 epochs lost 0.8
points to 12 epochs from scratch after 1 doubling down and 2 up, 0.3 after 1 and 1: scratch ranked the first higher.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Footing = tuple[bool, bool]  # whether a training is a child's, and whether of another network than its parent

START_KEY = "start"  # system attribute of a child, and of a trial that goes on from one
PARENT_KEY = "parent"  # system attribute: the number of the finished trial whose weights it takes over
NO_PARENT = -1


@dataclass(frozen=True)
class Start:
    """The epochs that a child's kernels were trained for in others, and how far its layers are from its parent's.

    `down` and `up` are doublings, summed over the layers that have fewer kernels, and over those that have more.
    `before` are the parameters other than widths and length of those epochs, on average, as far as they are known.
    """

    epochs: int
    down: float
    up: float
    before: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def moves(self) -> bool:
        """Whether the child is another network than its parent."""
        return self.down + self.up > 0

    def resized(self, names: Iterable[str], parent: Mapping[str, Any], child: Mapping[str, Any]) -> Start:
        """The same kernels where the widths `names` of the child are others than its parent's."""
        down, up = moved(names, parent, child)
        return replace(self, down=down, up=up)

    @classmethod
    def read(cls, attrs: Mapping[str, Any]) -> Start | None:
        """From a trial's system attributes; None if it began from random kernels, or the entry is somebody else's."""
        match attrs.get(START_KEY):
            case [int(epochs), int() | float() as down, int() | float() as up, *rest]:
                return cls(epochs, down, up, next((each for each in rest if isinstance(each, dict)), {}))
        return None

    def note(self) -> list[Any]:
        """As it is stored."""
        return [self.epochs, self.down, self.up, dict(self.before)]


def footing(start: Start | None) -> Footing:
    """Which curves a training's is like: whether it is a child, and if so whether of another network.

    From scratch it begins by guessing, as another network with a loss, as the same one about where its parent ended.
    """
    return start is not None, start is not None and start.moves


def moved(names: Iterable[str], parent: Mapping[str, Any], child: Mapping[str, Any]) -> tuple[float, float]:
    """Doublings down and up, of the widths `names`, from those of `parent` to those of `child`."""
    moves = [math.log2(child[name] / parent[name]) for name in names]
    return sum(max(-move, 0.0) for move in moves), sum(max(move, 0.0) for move in moves)
