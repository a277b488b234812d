"""From a spec's words to sampler and pruner; Optuna stores neither, so every worker makes them anew."""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.search import PHashPruner, PHashSampler
from phashopt.service.spec import PHASH, Spec

Limits = dict[str, tuple[Callable[[Mapping[str, int]], float], float]]


def limits(spec: Spec, image: ImageShape, classes: int) -> Limits:
    """The spec's caps with what they bind: name to (cost of true kernel counts, cap)."""

    def cost(name: str) -> Callable[[Mapping[str, int]], float]:
        return lambda widths: float(getattr(spec.cost(widths, image, classes), name))

    return {name: (cost(name), cap) for name, cap in spec.limits.caps.items()}


def make_sampler(
    spec: Spec, image: ImageShape, classes: int, number: int = 0, *, deadline: datetime | None = None
) -> BaseSampler:
    """The spec's sampler; raises `UserError` for a name nobody knows.

    Ours draws from (seed, trial number) by itself, and is told when the study ends, at a `deadline` too. Others repeat
    their first draws in every worker, so a worker makes them anew for each trial `number`. A class of one's own gets
    what it takes of `widths`, `limits`, `grid`, `space`.
    """
    name = spec.search.sampler
    known: dict[str, Any] = {
        "widths": list(spec.grids),
        "limits": limits(spec, image, classes),
        "grid": spec.listed,
        "space": spec.space,
    }
    if name != PHASH:
        seed = int(np.random.SeedSequence([spec.study.seed, number]).generate_state(1)[0])
        sampler: BaseSampler = named(name, optuna.samplers, BaseSampler, "search.sampler", seed=seed, **known)
        return sampler
    ours = spec.search
    return PHashSampler(
        seed=spec.study.seed,
        strategy=ours.strategy,
        trials=spec.study.trials,
        compute=spec.study.max_compute,
        deadline=deadline,
        inherit=ours.inherit,
        **known,
    )


def check_proposals(spec: Spec, sampler: BaseSampler) -> None:
    """Let a sampler that is not ours propose twice; raises `UserError` if it cannot, for want of a package say."""
    if isinstance(sampler, PHashSampler):
        return
    study = optuna.create_study(direction="maximize", sampler=sampler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(2):
                study.tell(study.ask(spec.space), 0.5)
    except Exception as error:  # the sampler's own, which may do anything
        told = " ".join(str(error).split())
        raise UserError(
            f"search.sampler: {spec.search.sampler} cannot propose ({type(error).__name__}: {told})"
        ) from error


def make_pruner(spec: Spec) -> BasePruner:
    """The spec's pruner; raises `UserError` for a name nobody knows."""
    name = spec.search.pruner
    if name != PHASH:
        pruner: BasePruner = named(name, optuna.pruners, BasePruner, "search.pruner")
        return pruner
    return PHashPruner(grid=spec.listed)


def named(name: str, home: Any, base: type, key: str, **settings: Any) -> Any:
    """An object of the class `name` of module `home`, or of `module:Class`, with those settings it takes.

    Raises `UserError` that begins with `key` for a name nobody knows.
    """
    module, _, attribute = name.rpartition(":")
    try:
        found = getattr(importlib.import_module(module) if module else home, attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{key}: there is no {name!r}; write phash, a class of {home.__name__}, or module:Class"
        ) from error
    except Exception as error:  # the user's own module, which may do anything
        raise UserError(f"{key}: {module!r} cannot be imported ({type(error).__name__}: {error})") from error
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise UserError(f"{key}: {name!r} is no {base.__name__}")
    parameters = inspect.signature(found).parameters
    known = {*parameters, *(["seed"] if any(each.kind == each.VAR_KEYWORD for each in parameters.values()) else [])}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return found(**{setting: value for setting, value in settings.items() if setting in known})
    except TypeError as error:
        raise UserError(
            f"{key}: {name!r} cannot be made from a seed alone ({error}); name a class of yours that can: module:Class"
        ) from error
    except Exception as error:  # the user's own class, which may do anything
        raise UserError(f"{key}: {name!r} cannot be made ({type(error).__name__}: {error})") from error
