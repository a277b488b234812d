"""What a model believes each layer's kernels to be worth, one layer at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from phashopt.search.basis import Array
from phashopt.search.model import Model
from phashopt.search.predict import DRAWS

LEVELS = (0.05, 0.5, 0.95)


def layer_worth(model: Model, params: Mapping[str, Any]) -> dict[str, Array]:
    """For each width (3, n): 5%, 50% and 95% quantiles of the nats won over the network `params`, by its n grid values.

    All other layers stay as they are in `params`; length, rate and all else are at the median of the finished trials.
    """
    draws = model.posterior.draw(DRAWS, np.random.default_rng(0))
    start = model.basis.coordinates([params])[0]
    start[model.basis.layers : model.basis.rest.stop] = np.median(model.basis.lasting(model.places), axis=0)
    here = model.basis.features(start[None])
    found = {}
    for layer, (name, axis) in enumerate(model.space.widths.items()):
        rows = np.repeat(start[None], len(axis.values), axis=0)
        rows[:, layer] = [axis.fraction(value) for value in axis.values]
        won = (model.basis.features(rows) - here) @ draws.T
        found[name] = np.quantile(won, LEVELS, axis=1)
    return found
