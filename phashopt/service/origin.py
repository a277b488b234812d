"""Where a trial's first weights come from: random kernels, those of a parent, or the training that it goes on from."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from optuna import Study
from optuna.trial import FrozenTrial
from safetensors import SafetensorError

from phashopt.networks import build, inherit
from phashopt.search import NO_PARENT, PARENT_KEY, START_KEY
from phashopt.service.spec import Spec
from phashopt.service.storage import trial_folder
from phashopt.training.data import DataSet
from phashopt.training.run import STABLE, Origin
from phashopt.training.weights import load_weights

logger = logging.getLogger("phashopt")

FITTED_ON = 1024  # training images on which a child's layers are refitted to its parent's responses


def parent_of(study: Study, trial: FrozenTrial) -> FrozenTrial | None:
    """The trial whose weights it takes over."""
    number = trial.system_attrs.get(PARENT_KEY, NO_PARENT)
    return None if number == NO_PARENT else study.get_trials(deepcopy=False)[number]


def extended(study: Study, trial: FrozenTrial, spec: Spec, root: Path) -> Path | None:
    """Where the trial that this one goes on from, being the same network, left its stable phase."""
    parent = parent_of(study, trial)
    if parent is None or spec.widths(parent.params) != spec.widths(trial.params):
        return None
    return trial_folder(root, study.study_name, parent.number) / STABLE


def inherited_images(study: Study, trial: FrozenTrial, spec: Spec) -> int:
    """How many training images a child's kernels, or those of the child that it goes on from, had seen before."""
    parent = parent_of(study, trial)
    if parent is None:
        return 0
    if spec.widths(parent.params) == spec.widths(trial.params):
        return inherited_images(study, parent, spec)
    return int(parent.user_attrs["images_seen"])


def children(study: Study, numbers: Iterable[int], spec: Spec, data: DataSet, root: Path) -> dict[int, Origin]:
    """Where those of the trials begin that inherit kernels."""
    trials = study.get_trials(deepcopy=False)
    found = {number: origin(study, trials[number], spec, data, root) for number in numbers}
    return {number: begun for number, begun in found.items() if begun.macs}


def origin(study: Study, trial: FrozenTrial, spec: Spec, data: DataSet, root: Path) -> Origin:
    """The first weights: of a child those of its parent's kernels, otherwise random ones.

    A parent whose weights are gone leaves no child: the trial starts from scratch, and no longer counts as one.
    """
    blueprint = spec.blueprint(spec.widths(trial.params), data.shape, len(data.classes))
    parent, images_seen = parent_of(study, trial), inherited_images(study, trial, spec)
    if parent is None or spec.widths(parent.params) == spec.widths(trial.params):
        return Origin(partial(build, blueprint), images=images_seen)
    folder = trial_folder(root, study.study_name, parent.number)
    ancestor = spec.blueprint(spec.widths(parent.params), data.shape, len(data.classes))
    try:
        network = load_weights(folder, build(ancestor, 0)).to(data.train.device)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        logger.warning("Trial %d: trial %d left no kernels to inherit: %s.", trial.number, parent.number, reason)
        if not trial.state.is_finished():
            study._storage.set_trial_system_attr(trial._trial_id, START_KEY, None)
        return Origin(partial(build, blueprint))
    images = data.train.standardise(data.train.pixels[:FITTED_ON])
    macs = len(images) * (ancestor.cost.macs + blueprint.cost.macs)
    return Origin(lambda seed: inherit(network, blueprint.widths, images, seed), macs, images_seen)
