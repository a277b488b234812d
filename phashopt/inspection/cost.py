"""What each layer of any network costs, counted while it runs."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from phashopt.errors import UserError
from phashopt.signal.state import home, undisturbed


def layer_macs(model: nn.Module, images: Tensor) -> dict[str, int]:
    """Multiply-accumulates of one image of `images` (N, C, H, W), by the name of each convolution and linear layer.

    Raises `UserError` if the model cannot take the images.
    """
    counted: Counter[str] = Counter()
    hooks = [
        module.register_forward_hook(partial(_count, counted, name))
        for name, module in model.named_modules()
        if isinstance(module, _ConvNd | nn.Linear)
    ]
    try:
        with undisturbed(model):
            model(images.to(*home(model)))
    except Exception as error:
        shape = "x".join(map(str, images.shape[1:]))
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{type(model).__name__} cannot take {shape} images ({said}): try another --size") from error
    finally:
        for hook in hooks:
            hook.remove()
    return {name: macs // len(images) for name, macs in counted.items()}


def _count(counted: Counter[str], name: str, module: _ConvNd | nn.Linear, inputs: Any, output: Any) -> None:
    # A transposed convolution spreads each input value, all others gather for each output value.
    values = inputs[0] if isinstance(module, _ConvTransposeNd) else output
    if isinstance(values, Tensor):
        counted[name] += values.numel() * module.weight[0].numel()
