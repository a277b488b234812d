"""Exact feasibility: points moved under the caps and filled up to them, and the nearest point not yet tried.

Costs are black boxes that grow with every width, so each step is one bisection along one axis.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence, Set

import numpy as np

from phashopt.search.space import Point, Space


def fit(point: Point, space: Space, payers: Sequence[str], gainers: Sequence[str]) -> Point:
    """`point` under the caps: widths of `payers` shrink in this order, then those of `gainers` grow in this order.

    A round moves each width by at most one gradual step. Without a cap `point` is left as it is.
    """
    return _fill(_repair(point, space, payers), space, gainers) if space.limits else point


def under_caps(point: Point, space: Space) -> Point:
    """`point` with its widest layers narrowed as far as the caps ask for."""
    return fit(point, space, sorted(space.widths, key=lambda name: -point[name]), [])


def filled(point: Point, space: Space) -> Point:
    """`point` under the caps and filled up to them: the widest layers pay, the narrowest gain."""
    narrowest_first = sorted(space.widths, key=lambda name: point[name])
    return fit(point, space, narrowest_first[::-1], narrowest_first)


def uniform(space: Space) -> Point:
    """Every width at one fraction of its log range: the largest under the caps, filled up; the middle without caps."""
    if not space.limits:
        return space.at(0.5)
    count = bisect_left(range(1, 1001), True, key=lambda thousandth: not space.feasible(space.at(thousandth / 1000)))
    return filled(space.at(count / 1000), space)


def scatter(center: Point, radius: float, space: Space, rng: np.random.Generator) -> Point:
    """Widths drawn uniformly within `radius` of `center`, in fractions of the log range, fitted in random order."""
    point = dict(center)
    for name, axis in space.widths.items():
        point[name] = axis.at(axis.fraction(center[name]) + rng.uniform(-radius, radius))
    order = [str(name) for name in rng.permutation(list(space.widths))]
    return fit(point, space, order[::-1], order)


def nearest_unseen(point: Point, space: Space, seen: Set[tuple[int, ...]], rng: np.random.Generator) -> Point | None:
    """The feasible point not in `seen` that is fewest grid steps away, of `point` under the caps; None if none is left.

    Feasible points form a staircase, and so are connected by single steps through one another.
    """
    if space.key(point) not in seen and space.feasible(point):
        return point
    fitted = under_caps(point, space)
    smallest = {name: axis.values[0] for name, axis in space.axes.items()}
    queue = deque([fitted if space.feasible(fitted) else smallest])
    visited = {space.key(queue[0])}
    while queue:
        here = queue.popleft()
        if space.key(here) not in seen:
            return here if space.feasible(here) else None
        for near in _shuffled(_neighbours(here, space), rng):
            if space.key(near) not in visited:
                visited.add(space.key(near))
                if space.feasible(near):
                    queue.append(near)
    return None


def _repair(point: Point, space: Space, payers: Sequence[str]) -> Point:
    """Shrink step by step, in rounds over `payers`, by no more than it takes."""
    while not space.feasible(point):
        before = point
        for name in payers:
            axis = space.widths[name]
            steps = axis.between(axis.down(point[name]), point[name] - 1) or [axis.values[0]]
            point = _largest_feasible(point, name, steps, space)
            if space.feasible(point):
                return point
        if point == before:
            return point
    return point


def _fill(point: Point, space: Space, gainers: Sequence[str]) -> Point:
    """Grow step by step, in rounds over `gainers`, until no width of theirs can grow by one grid value."""
    grown = True
    while grown and space.feasible(point):
        grown = False
        for name in gainers:
            axis = space.widths[name]
            steps = axis.between(point[name] + 1, axis.up(point[name]))
            if steps and space.feasible(point | {name: steps[0]}):
                point = _largest_feasible(point, name, steps, space)
                grown = True
    return point


def _largest_feasible(point: Point, name: str, steps: Sequence[int], space: Space) -> Point:
    """`point` with the largest of the ascending `steps` that is feasible, else with the smallest of them."""
    count = bisect_left(steps, True, key=lambda value: not space.feasible(point | {name: value}))
    return point | {name: steps[max(count - 1, 0)]}


def _neighbours(point: Point, space: Space) -> list[Point]:
    return [point | {name: value} for name, axis in space.axes.items() for value in axis.neighbours(point[name])]


def _shuffled(points: list[Point], rng: np.random.Generator) -> list[Point]:
    return [points[index] for index in rng.permutation(len(points))]
