"""A network as JSON that names PyTorch's own modules: enough to build it without phashopt."""

from __future__ import annotations

from typing import Any

from torch import nn

from phashopt.networks.build import ResidualBlock

ARGUMENTS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("in_channels", "out_channels", "kernel_size", "stride", "padding"),
    nn.BatchNorm2d: ("num_features", "eps", "momentum"),
    nn.Linear: ("in_features", "out_features"),
    nn.MaxPool2d: ("kernel_size",),
    nn.AdaptiveAvgPool2d: ("output_size",),
    nn.ReLU: (),
    nn.Flatten: (),
    nn.Identity: (),
}


def described(module: nn.Module) -> list[Any]:
    """`["Conv2d", {"in_channels": 3, ...}]`; of a `Sequential` or `Residual` the arguments are its parts by name.

    Raises `KeyError` for a module that none of the families uses.
    """
    if isinstance(module, nn.Sequential | ResidualBlock):
        kind = "Residual" if isinstance(module, ResidualBlock) else "Sequential"
        skipped = {"relu"} if kind == "Residual" else set()
        return [kind, {name: described(part) for name, part in module.named_children() if name not in skipped}]
    arguments = {name: getattr(module, name) for name in ARGUMENTS[type(module)]}
    if isinstance(module, nn.Conv2d):
        arguments["bias"] = module.bias is not None
    return [type(module).__name__, arguments]
