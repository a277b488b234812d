"""`load()` gives the network beside this file; it wants (pixels / 255 - mean) / std, which network.json tells."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn


class Residual(nn.Module):
    def __init__(self, parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.first, self.second, self.shortcut = parts["first"], parts["second"], parts["shortcut"]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


def build(kind: str, arguments: dict[str, Any]) -> nn.Module:
    if kind not in {"Sequential", "Residual"}:
        module: nn.Module = getattr(nn, kind)(**arguments)
        return module
    parts = OrderedDict((name, build(*part)) for name, part in arguments.items())
    return nn.Sequential(parts) if kind == "Sequential" else Residual(parts)


def load(folder: Path = Path(__file__).parent) -> nn.Module:
    network = build(*json.loads((folder / "network.json").read_text())["modules"])
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval()
