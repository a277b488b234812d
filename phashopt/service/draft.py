"""A trial before it is written: asked for over one reading of the study, then stored whole, in one transaction."""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from optuna import Study, Trial
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

DRAFT_ID = -1  # no storage gives it to a trial


class Draft:
    """Stands before a storage while a trial is claimed.

    The sampler sees `trials`, as they were read under the claim lock, so nothing is read twice. What it writes to a new
    trial is kept here until the trial is `stored`: one commit instead of one for every parameter and attribute, and
    nobody ever sees half a trial. All else goes through, a waiting trial's writes among it.
    """

    def __init__(self, storage: BaseStorage, trials: Sequence[FrozenTrial]) -> None:
        self._storage = storage
        self._trials = [*trials]
        self._new = FrozenTrial(
            number=len(trials),
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params={},
            distributions={},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            trial_id=DRAFT_ID,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def ask(self, study: Study, space: Mapping[str, BaseDistribution]) -> Trial:
        """`study.ask`: the first waiting trial, else a new one that is not stored yet."""
        over = copy.copy(study)
        over._storage = cast(BaseStorage, self)
        return over.ask(dict(space))

    def stored(self, study: Study, trial: Trial) -> Trial:
        """What was asked for as a trial of `study`, written now if it is new."""
        new = trial._trial_id == DRAFT_ID
        return Trial(study, self._storage.create_new_trial(study._study_id, self._new) if new else trial._trial_id)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Begin the draft, which from now on is seen among the trials, as a running one is."""
        self._trials.append(self._new)
        return DRAFT_ID

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """As they were read, and the draft."""
        trials = [trial for trial in self._trials if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A copy of the draft, or a trial as it is now."""
        return copy.deepcopy(self._new) if trial_id == DRAFT_ID else self._storage.get_trial(trial_id)

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        """The trial's, decision and fixed parameters among them."""
        return self.get_trial(trial_id).system_attrs

    def set_trial_param(self, trial_id: int, name: str, internal: float, distribution: BaseDistribution) -> None:
        """Note a parameter, given as Optuna stores it."""
        if trial_id != DRAFT_ID:
            self._storage.set_trial_param(trial_id, name, internal, distribution)
            return
        self._new.params[name] = distribution.to_external_repr(internal)
        self._new.distributions[name] = distribution

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note what people see."""
        if trial_id != DRAFT_ID:
            self._storage.set_trial_user_attr(trial_id, key, value)
            return
        self._new.user_attrs[key] = value

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Note what programs read."""
        if trial_id != DRAFT_ID:
            self._storage.set_trial_system_attr(trial_id, key, value)
            return
        self._new.system_attrs[key] = value
