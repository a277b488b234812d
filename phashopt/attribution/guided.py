"""ReLU's rule in guided backpropagation, wherever a network calls ReLU: as a module, a function or in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from phashopt.signal.rules import is_relu, name_of


class GuidedReLU(TorchFunctionMode):
    """While entered, a ReLU passes back only positive gradients, and only where it was active itself.

    Activations that are no ReLU keep their gradient. Source: Springenberg et al. 2015.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if is_relu(name_of(func), args, kwargs or {}) and result.requires_grad:
            # On the result, so that what comes from all that read it is summed before it is cut.
            result.register_hook(_positive_part)
        return result


def _positive_part(gradient: Tensor) -> Tensor:
    return gradient.clamp(min=0)
