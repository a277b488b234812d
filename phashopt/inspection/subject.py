"""The network to inspect: a trial's folder, one of torchvision's by name, or what a user's own function returns."""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from phashopt.errors import UserError, meant
from phashopt.inspection.state import fill, read_state
from phashopt.networks import build
from phashopt.plans import FAMILIES, ImageShape
from phashopt.training.data import Standardisation
from phashopt.training.files import NETWORK, WEIGHTS

TORCHVISION = "torchvision:"
WANTED = "give a trial's folder, torchvision:NAME or module:factory"


@dataclass(frozen=True)
class Subject:
    """A network, and how it wants its images where that is known; weights drawn at random teach nothing.

    `description` is how a trial's network is built.
    """

    name: str
    network: nn.Module
    is_trained: bool
    image: ImageShape | None = None
    standardisation: Standardisation | None = None
    description: Mapping[str, Any] | None = None


def load_subject(model: str, weights: Path | None = None) -> Subject:
    """Build what `model` names and fill it from `weights`, safetensors or a pickled state dict without code.

    Raises `UserError` for a name that leads nowhere, a factory that fails, and weights that are unreadable or do not
    fit.
    """
    if model.startswith(TORCHVISION):
        return _torchvision(model, weights)
    path = Path(model).expanduser()
    if path.exists() or ":" not in model:
        if weights is not None:
            raise UserError(f"{model} brings its own weights: leave out --weights")
        return _trial(path.parent if path.name == WEIGHTS else path)
    network = _made(model)
    if weights is not None:
        fill(network, read_state(weights), weights)
    # What a factory returns without weights may have been loaded or trained in it.
    return Subject(model, network, is_trained=True)


def _trial(folder: Path) -> Subject:
    if not (folder / NETWORK).exists() or not (folder / WEIGHTS).exists():
        raise UserError(f"{folder} holds no {NETWORK} and {WEIGHTS}: {WANTED}")
    try:
        description = json.loads((folder / NETWORK).read_text())
        options = dict(description["network"])
        family = FAMILIES[options["family"]](**options)
        image = ImageShape(*description["image"])
        standardisation = Standardisation(**description["standardisation"])
        blueprint = family.plan(description["widths"], image, len(description["classes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / NETWORK} describes no network of phashopt: {error}") from error
    network = build(blueprint, seed=0)
    fill(network, read_state(folder / WEIGHTS), folder / WEIGHTS)
    name = "/".join(folder.resolve().parts[-2:])
    return Subject(name, network, True, image, standardisation, description)


def _torchvision(model: str, weights: Path | None) -> Subject:
    from torchvision import models

    name, known = model.removeprefix(TORCHVISION), models.list_models(module=models)
    if name not in known:
        raise UserError(f"torchvision has no classifier {name!r}{meant(name, known)}")
    with warnings.catch_warnings(), _same_draw():
        warnings.simplefilter("ignore")  # on how some networks draw the weights
        network = models.get_model(name, weights=None)
        if weights is None:
            return Subject(model, network, is_trained=False)
        state = read_state(weights)
        bias = list(network.state_dict())[-1]  # of the classifier: one value a class
        if bias in state and state[bias].shape != network.state_dict()[bias].shape:
            network = models.get_model(name, weights=None, num_classes=state[bias].numel())
    fill(network, state, weights)
    return Subject(model, network, is_trained=True)


def _made(model: str) -> nn.Module:
    """Call a user's factory; whatever goes wrong in it is the user's to mend."""
    module_name, _, factory_name = model.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{model}: cannot import {module_name!r}: {_said(error)}; {WANTED}") from error
    if not hasattr(module, factory_name):
        near = get_close_matches(factory_name, [name for name in vars(module) if not name.startswith("_")], 1)
        hint = f"did you mean {near[0]!r}?" if near else "name a function or class that returns the network"
        raise UserError(f"{module_name} has no {factory_name!r}: {hint}")
    factory = getattr(module, factory_name)
    try:
        with _same_draw():
            network = factory if isinstance(factory, nn.Module) else factory()
    except Exception as error:
        raise UserError(f"{model}, called without arguments, raises {_said(error)}") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{model} gives {type(network).__name__}, not a torch.nn.Module")
    return network


@contextmanager
def _same_draw() -> Iterator[None]:
    """Random weights are the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0].strip()
