"""The model's strategy: the first networks in a fixed order, then whatever promises most, with its reason in words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from phashopt.search.ascent import Ascent
from phashopt.search.budget import Left
from phashopt.search.costs import Quadratic
from phashopt.search.evidence import Posterior
from phashopt.search.fit import filled, nearest_unseen, under_caps, uniform
from phashopt.search.improvement import Action, Improvement
from phashopt.search.model import Model
from phashopt.search.proposal import Proposal
from phashopt.search.record import Record
from phashopt.search.space import LENGTH
from phashopt.search.tried import Tried

WEIGHT = "weight of the signal"
DRAWS = 128  # of other numbers, the first quarter for the best network, before a point is repeated
NOTABLE = 0.5  # standard deviations of unexplained redundancy worth a word


def propose_by_model(
    model: Model, posterior: Posterior, cost: Quadratic, tried: Tried, rng: np.random.Generator, *, left: Left
) -> Proposal:
    """The next training: never one that was tried while another feasible one is left; arguments as `Improvement`'s."""
    space = model.space
    if not space.feasible(space.at(0.0)):
        return Proposal(space.at(0.0), "The widths that were given exceed a cap; the others stay smallest.")
    for opening in _openings(model, posterior, cost):
        if space.feasible(opening.point) and {**opening.point, **opening.others} not in tried:
            return opening
    actions = Improvement(model, posterior, cost, tried, rng, left=left).actions()
    for action in actions:
        if space.feasible(action.params) and not tried.begun(action.params, action.start):
            return _proposal(model, action)
    best = _proposal(model, actions[0])
    point = nearest_unseen(best.point, space, tried.keys, rng)
    if point is not None:
        return Proposal(point, "All that promises a gain has been tried: the nearest point that has not.", best.others)
    point = under_caps(best.point, space)
    for draw in range(DRAWS):
        drawn = {name: axis.at(rng.uniform()) for name, axis in space.axes.items()}
        again = point if draw < DRAWS / 4 else under_caps(drawn, space)
        others = {name: model.basis.others[name].draw(rng) for name in model.space.others}
        if {**again, **others} not in tried:
            return Proposal(again, "All widths and lengths have been tried: some of them with other numbers.", others)
    return Proposal(point, "Every feasible point has been tried: one is repeated.", best.others)


def _openings(model: Model, posterior: Posterior, cost: Quadratic) -> Iterator[Proposal]:
    """While nothing is known of these networks: all layers alike, then what is best by what is believed of any."""
    if model.finished or model.lost:
        return
    optimum = Ascent(model.basis, cost, posterior.mean[None]).maximise().coordinates[0]
    params = model.basis.params(optimum)
    others = {name: params[name] for name in model.space.others}
    alike = uniform(model.space) | {name: params[name] for name in model.space.axes if name == LENGTH}
    yield Proposal(alike, "To begin with: all layers alike, as wide as the cap allows.", others)
    point = {name: params[name] for name in model.space.axes}
    point = point if cost.exact else filled(point, model.space)
    yield Proposal(point, "The best network by what is believed of any before one is trained.", others)


def _proposal(model: Model, action: Action) -> Proposal:
    length = model.space.length
    point = {name: action.params[name] for name in model.space.axes}
    longer = point[LENGTH] if length and point[LENGTH] > length.values[-1] else None
    if length and longer:
        point[LENGTH] = length.values[-1]
    others = {name: action.params[name] for name in model.space.others}
    reason = f"{_prediction(model, action)}{_changes(model, action)}{_signal(model)}"
    return Proposal(point, reason, others, action.parent.number if action.parent else None, action.start, longer)


def _prediction(model: Model, action: Action) -> str:
    nats = action.nats + action.margin * np.array([-1.0, 0.0, 1.0])
    low, middle, high = sorted(model.response.value(nats).tolist())
    count = len(model.finished)
    return f"Predicted {middle:.4g} (90%: {low:.4g} to {high:.4g}) from {count} training{'s' * (count != 1)}"


def _changes(model: Model, action: Action) -> str:
    """What is different from the trial that it goes on from or whose child it is, or from the best so far."""
    other = action.parent or model.best
    if other is None:
        return ". "
    names = [*model.space.axes, *model.space.others]
    changes = [
        f"{name} {shown(other.params[name])} -> {shown(action.params[name])}"
        for name in names
        if name in other.params and shown(action.params[name]) != shown(other.params[name])
    ]
    how = _relation(action, action.parent) if action.parent else "against"
    return f"; {how} trial {other.number} ({other.value:.4g}): {', '.join(changes) or 'the same again'}. "


def _relation(action: Action, parent: Record) -> str:
    if action.start == parent.start:
        return "goes on from"
    return "inherits kernels of" if action.start and action.start.moves else "trains anew from the end of"


def shown(value: object) -> str:
    """A parameter in a sentence."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def stated_weight(decision: str) -> float | None:
    """The weight of the signal that a decision states, to two digits; None where it states none."""
    found = re.search(rf"{WEIGHT} (\d\.\d\d)", decision)
    return float(found[1]) if found else None


def _signal(model: Model) -> str:
    """Which layers are fuller of copies, or emptier, than width and training explain, and how far that is trusted."""
    excess = dict(zip(model.space.widths, model.excess, strict=True))
    notable = sorted((name for name in excess if abs(excess[name]) >= NOTABLE), key=lambda name: -abs(excess[name]))
    layers = [f"{name} {'fuller' if excess[name] > 0 else 'emptier'} ({excess[name]:+.1f} sd)" for name in notable[:3]]
    trust = f"{WEIGHT} {model.posterior.signal_weight:.2f}"
    return f"Copies beyond what width and training explain: {', '.join(layers) or 'none to speak of'}; {trust}."
