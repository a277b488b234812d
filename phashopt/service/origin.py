"""Where a trial's first weights come from: random kernels, those of a parent, or the training that it goes on from."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from optuna import Study, Trial
from optuna.trial import FrozenTrial
from safetensors import SafetensorError

from phashopt.networks import Network, build, inherit, inherit_macs
from phashopt.search import DECISION_KEY, NO_PARENT, ORPHANED_KEY, PARENT_KEY, START_KEY, Start
from phashopt.service.spec import Spec
from phashopt.service.storage import trial_folder
from phashopt.training.data import DataSet, sample
from phashopt.training.files import STABLE
from phashopt.training.run import Origin
from phashopt.training.weights import load_weights

logger = logging.getLogger("phashopt")

FITTED_ON = 1024  # training images on which a child's layers are refitted to its parent's responses


class OrphanError(Exception):
    """A parent left no kernels that could be inherited."""


def parent_of(study: Study, trial: FrozenTrial) -> FrozenTrial | None:
    """The trial whose weights it takes over."""
    number = trial.system_attrs.get(PARENT_KEY, NO_PARENT)
    return None if number == NO_PARENT else study.get_trials(deepcopy=False)[number]


def extended(study: Study, trial: FrozenTrial, root: Path) -> Path | None:
    """Where the trial whose training this one goes on with left its stable phase."""
    parent = parent_of(study, trial)
    if parent is None or _inherits(trial, parent):
        return None
    return trial_folder(root, study.study_name, parent.number) / STABLE


def origin(study: Study, trial: FrozenTrial, spec: Spec, data: DataSet, root: Path) -> Origin:
    """The first weights: of a child, and of what goes on from one, those of the kernels inherited, else random ones.

    The parent's weights are read when a network is made, which raises `OrphanError` if they cannot be: what goes on
    from a checkpoint of its own needs them no more.
    """
    blueprint = spec.blueprint(spec.widths(trial.params), data.shape, len(data.classes))
    parent = _bequeather(study, trial)
    if parent is None:
        return Origin(partial(build, blueprint))
    folder = trial_folder(root, study.study_name, parent.number)
    ancestor = spec.blueprint(spec.widths(parent.params), data.shape, len(data.classes))
    fitted_on = sample(data.train, FITTED_ON)

    def child(seed: int) -> Network:
        try:
            network = load_weights(folder, build(ancestor, 0))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise OrphanError(f"trial {parent.number} left no kernels to inherit: {reason}") from error
        return inherit(network.to(data.train.device), blueprint.widths, data.train.standardise(fitted_on), seed)

    macs = inherit_macs(ancestor, blueprint.widths, len(fitted_on))
    return Origin(child, macs, int(parent.user_attrs.get("images_seen", 0)))


def _bequeather(study: Study, trial: FrozenTrial) -> FrozenTrial | None:
    """Whose kernels a child has, or the child whose training it goes on with."""
    if Start.read(trial.system_attrs) is None:
        return None
    parent = parent_of(study, trial)
    while parent is not None and not _inherits(trial, parent):
        parent = parent_of(study, parent)
    return parent


def _inherits(trial: FrozenTrial, parent: FrozenTrial) -> bool:
    """Whether it is a child; what goes on with its parent's training has the same start."""
    return Start.read(trial.system_attrs) != Start.read(parent.system_attrs)


def orphaned(trial: Trial) -> None:
    """Note of what begins from random kernels that it takes over nobody's, if a parent was meant, and of which one.

    No later trial is proposed to go on from that one.
    """
    storage, key = trial.study._storage, trial._trial_id
    noted = storage.get_trial_system_attrs(key)
    parent = noted.get(PARENT_KEY, NO_PARENT)
    if parent == NO_PARENT:
        return
    decision = f"{noted.get(DECISION_KEY, '')} But trial {parent} left nothing to go on from: from scratch.".strip()
    storage.set_trial_system_attr(key, DECISION_KEY, decision)
    storage.set_trial_system_attr(key, START_KEY, None)
    storage.set_trial_system_attr(key, PARENT_KEY, NO_PARENT)
    storage.set_trial_system_attr(key, ORPHANED_KEY, parent)
    trial.set_user_attr(PARENT_KEY, NO_PARENT)


def children(study: Study, numbers: Iterable[int], spec: Spec, data: DataSet, root: Path) -> dict[int, Origin]:
    """Where those of the trials begin that inherit kernels, and still can."""
    trials = study.get_trials(deepcopy=False)
    found = {}
    for number in numbers:
        if _bequeather(study, trials[number]):
            begun = origin(study, trials[number], spec, data, root)
            try:
                begun.network(0)
            except OrphanError as error:
                logger.warning("Trial %d: %s.", number, error)
            else:
                found[number] = begun
    return found
