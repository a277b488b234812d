"""Our actions for others' proposals: what they would train anew goes on from, or inherits from, a finished trial."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from phashopt.search import PARENT_KEY, STABLE_KEY, START_KEY, Start
from phashopt.search.basis import Basis
from phashopt.search.coding import Coding
from phashopt.search.space import LENGTH, Space
from phashopt.search.start import moved

BEST = 8  # finished trials that may be parents


def bequeathed(
    space: Space, coding: Coding, study: Study, trial: FrozenTrial, params: dict[str, Any]
) -> dict[str, Any]:
    """What becomes of `params`, true values, proposed to `trial`, whose parent and start are noted with it.

    Of the best finished trials the nearest is the parent. If it is the same network and was trained for less, its
    training goes on, at its other numbers, unless that was done before: it would end the same. Otherwise its kernels
    are inherited.
    """
    storage = study._storage  # under Hyperband the study shows one bracket only
    finished = storage.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.COMPLETE,))
    best = sorted(finished, key=lambda each: -(each.value or 0.0))[:BEST]
    if not best:
        return params
    distances = [sum(moved(space.widths, coding.decode(each.params), params)) for each in best]
    distance, parent = min(zip(distances, best, strict=True), key=itemgetter(0))
    known, before = coding.decode(parent.params), Start.read(parent.system_attrs)
    start: Start | None = Basis.of(space).left_by(known, before).resized(space.widths, known, params)
    longer = {**known, LENGTH: params[LENGTH]}
    again = any(coding.decode(each.params) == longer for each in finished)
    if not distance and parent.user_attrs.get(STABLE_KEY) and params[LENGTH] > known[LENGTH] and not again:
        params, start = longer, before
    storage.set_trial_system_attr(trial._trial_id, START_KEY, start.note() if start else None)
    storage.set_trial_system_attr(trial._trial_id, PARENT_KEY, parent.number)
    return params
