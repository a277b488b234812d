"""A trained network as files that anybody can load: weights as safetensors, the network's plan beside them as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from phashopt.networks import Network
from phashopt.training.files import NETWORK, WEIGHTS, save_arrays, save_bytes


def load_weights(folder: Path, network: Network) -> Network:
    """Fill `network` with what `save_weights` left in `folder`: itself.

    Raises `OSError` or `SafetensorError` where that cannot be read, `RuntimeError` where it does not fit.
    """
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network


def save_weights(folder: Path, network: nn.Module, description: Mapping[str, Any]) -> None:
    """Write `network`'s state and the JSON `description` of how to build and feed it."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    save_arrays(folder / WEIGHTS, arrays)
    save_bytes(folder / NETWORK, json.dumps(description, indent=2).encode())
