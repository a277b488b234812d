"""Weights from a file that cannot run code."""

from __future__ import annotations

import pickle
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from phashopt.errors import UserError

NESTS = ("state_dict", "model")  # under which training scripts keep the weights beside other things
LONGEST = 160  # characters of what torch says of a mismatch


def read_state(path: Path) -> dict[str, Tensor]:
    """The named tensors in a safetensors file or a pickled state dict; `UserError` if it is neither or wants code."""
    if not path.is_file():
        raise UserError(f"there is no weights file {path}: give safetensors or a saved state dict")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is no plain state dict, and reading more could run code: save model.state_dict() with torch.save"
        ) from error
    except Exception as error:  # rubbish fails in any way
        raise UserError(f"{path} cannot be read as weights: {_short(error)}") from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds no state dict: save model.state_dict() with torch.save")
    return state


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Load `state`, read from `path`, into `network`; `UserError` naming the first thing that does not fit."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        fault = textwrap.shorten(first[0], LONGEST, placeholder=" ...").rstrip(".")
        raise UserError(f"{path} does not fit {type(network).__name__}: {fault}") from error


def _unpickled(path: Path) -> dict[str, Any]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    for nest in NESTS:
        if isinstance(content, Mapping) and isinstance(content.get(nest), Mapping):
            content = content[nest]
    return dict(content) if isinstance(content, Mapping) else {}


def _short(error: Exception) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, LONGEST, placeholder=" ...")
