"""From a torch function as it was called to the operation that reverses it (the table of docs/signal.md, section 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from phashopt.signal.operations import (
    Averaging,
    Concatenation,
    Convolution,
    MaxPool,
    Operation,
    Rectifier,
    Scaling,
    Sum,
    Treatment,
    fastest_layout,
)

RELU = {"relu", "relu6"}
BOUNDS = {"clamp", "clip", "clamp_min", "hardtanh"}
NEARLY_RELU = {"leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "silu", "gelu", "mish", "softplus", "hardswish"}
GATES = {"sigmoid", "hardsigmoid"}
# Linear in all that comes from the images: a plain gradient is the exact transpose.
LINEAR = (
    {"add", "sub", "rsub", "neg", "sum", "mean", "copy", "setitem", "get", "getitem", "narrow", "select"}
    | {"cat", "concat", "concatenate", "stack", "hstack", "vstack", "chunk", "split", "unbind", "tensor_split"}
    | {"avg_pool2d", "adaptive_avg_pool2d", "max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d"}
    | {"interpolate", "upsample", "pad", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "fold", "unfold"}
    | {"dropout", "dropout2d", "feature_dropout", "alpha_dropout", "clone", "contiguous", "to", "type", "type_as"}
    | {"float", "double", "half", "bfloat16", "index_select", "view", "view_as", "reshape", "flatten", "unflatten"}
    | {"squeeze", "unsqueeze", "expand", "expand_as", "permute", "transpose", "swapaxes", "movedim", "flip", "roll"}
    | {"max_unpool2d"}
)
# Linear in one operand while the others are constants.
MULTILINEAR = {"linear", "matmul", "bmm", "mm", "einsum"} | {
    f"conv{kind}{dimensions}d" for kind in ("", "_transpose") for dimensions in (1, 2, 3)
}
QUOTIENTS = {"div", "true_divide"}


@dataclass(frozen=True)
class Call:
    """One call of a torch function; `data` are its tensor arguments that come from the images, in order.

    `makers` names, for each of `data`, the function that made it. Arguments called `input` and `other` are positional.
    """

    name: str
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    data: tuple[Tensor, ...]
    makers: tuple[str, ...]

    def named(self, *names: str) -> dict[str, Any]:
        """All arguments by name, the positional ones by `names`."""
        return dict(zip(names, self.args, strict=False)) | self.kwargs

    def run(self) -> Any:
        """Call it."""
        return self.func(*self.args, **self.kwargs)

    @property
    def follows_first(self) -> bool:
        """Whether the first argument, a batch of maps, is the only one that comes from the images."""
        return len(self.data) == 1 and self.data[0] is self.args[0]

    @property
    def follows_maps(self) -> bool:
        """Whether, besides, that argument is a batch of maps (N, C, H, W)."""
        return self.follows_first and self.data[0].dim() == 4


@dataclass(frozen=True)
class Outcome:
    """What a call returned, how to reverse it, and the tensors that it passes a cotangent to."""

    output: Any
    operation: Operation
    sources: tuple[Tensor, ...]


def name_of(func: Callable[..., Any]) -> str:
    """A torch function's name, the same for its in-place and operator forms."""
    return func.__name__.strip("_").split(".")[0]


def is_relu(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a torch function, called so, cuts off at zero: ReLU, ReLU6, or a clamp from 0."""
    low = args[1] if len(args) > 1 else kwargs.get("min", kwargs.get("min_val"))
    return name in RELU or (name in BOUNDS and not isinstance(low, Tensor) and low == 0)


def interpret(call: Call) -> Outcome:
    """Run `call`, with the deconvnet's rule in place of an activation's gradient."""
    return _RULES.get(call.name, _by_gradient)(call)


class _Rectify(Function):
    """Any activation forward, the deconvnet's ReLU backward."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, value: list[Tensor]) -> Tensor:
        # In a list, for a bare tensor would count as an operand and the result as a view of it.
        return value[0]

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:
        return cotangent.clamp(min=0), None


def _by_gradient(call: Call) -> Outcome:
    is_linear = (
        call.name in LINEAR
        or (call.name in MULTILINEAR and len(call.data) == 1)
        or (call.name in QUOTIENTS and call.follows_first)
    )
    return Outcome(call.run(), Operation(Treatment.EXACT if is_linear else Treatment.FALLBACK), call.data)


def _rectify(call: Call, treatment: Treatment = Treatment.EXACT) -> Outcome:
    maps = call.args[0]
    with torch.no_grad():
        copy = maps.clone()
        value = call.func(copy, *call.args[1:], **call.kwargs)
    output: Tensor = _Rectify.apply(maps, [value])  # type: ignore[no-untyped-call]
    if value is copy:
        output = maps.copy_(output)
    return Outcome(output, Rectifier(treatment), (maps,))


def _clamp(call: Call) -> Outcome:
    is_rectifier = call.follows_first and is_relu(call.name, call.args, call.kwargs)
    return _rectify(call) if is_rectifier else _by_gradient(call)


def _batch_norm(call: Call) -> Outcome:
    named = call.named("maps", "mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    variance, weight = named["running_var"], named.get("weight")
    output = call.run()
    if named.get("training", False) or variance is None or not call.follows_maps:
        return Outcome(output, Operation(Treatment.FALLBACK), call.data)
    factor = (variance.detach() + named.get("eps", 1e-5)).rsqrt()
    if weight is not None:
        factor = factor * weight.detach()
    return Outcome(output, Scaling(factor=factor[:, None, None]), call.data)


def _convolution(call: Call) -> Outcome:
    if not call.follows_maps:
        return _by_gradient(call)
    named = call.named("maps", "weight", "bias", "stride", "padding", "dilation", "groups")
    weight, dilation = named["weight"].detach(), _pair(named.get("dilation", 1))
    stride = _pair(named.get("stride", 1))
    treatment = Treatment.EXACT if stride == (1, 1) else Treatment.NO_SWITCHES
    padding = _padding(named.get("padding", 0), weight, dilation)
    output = call.run()
    if padding is None:
        return Outcome(output, Operation(treatment), call.data)
    groups = named.get("groups", 1)
    layout = fastest_layout(weight, groups)
    operation = Convolution(
        treatment,
        weight=weight.contiguous(memory_format=layout),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        plane=_plane(call.data[0]),
        layout=layout,
    )
    return Outcome(output, operation, call.data)


def _padding(padding: Any, weight: Tensor, dilation: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of zeros on either side; None where `same` needs one more on the right."""
    if padding == "valid":
        return 0, 0
    if padding != "same":
        return _pair(padding)
    height, width = (spacing * (size - 1) for spacing, size in zip(dilation, weight.shape[2:], strict=True))
    return None if height % 2 or width % 2 else (height // 2, width // 2)


def _max_pool(call: Call) -> Outcome:
    if not call.follows_maps:
        return _by_gradient(call)
    named = call.named("maps", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    wants_switches = named.pop("return_indices", False)
    output, switches = F.max_pool2d(named.pop("maps"), **named, return_indices=True)
    operation = MaxPool(switches=switches, plane=_plane(call.data[0]))
    return Outcome((output, switches) if wants_switches else output, operation, call.data)


def _average(call: Call) -> Outcome:
    output = call.run()
    if not call.follows_maps:
        return Outcome(output, Operation(), call.data)
    forward = partial(_applied, call.func, call.args[1:], call.kwargs)
    return Outcome(output, Averaging(forward=forward, plane=_plane(call.data[0])), call.data)


def _applied(func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], maps: Tensor) -> Tensor:
    return func(maps, *args, **kwargs)


def _product(call: Call) -> Outcome:
    if len(call.data) == 2:
        return _gated(call)
    (maps,) = call.data
    factor = call.args[1] if call.args[0] is maps else call.args[0]
    output = call.run()
    if output.shape != maps.shape:
        return Outcome(output, Operation(), call.data)
    return Outcome(output, Scaling(factor=factor.detach() if isinstance(factor, Tensor) else factor), call.data)


def _gated(call: Call) -> Outcome:
    """A product of two results: the one that is broadcast, else a sigmoid, is a gate and counts as a constant."""
    first, second = call.data
    is_broadcast = first.numel() != second.numel()
    if is_broadcast:
        gate = min(call.data, key=Tensor.numel)
    elif call.makers[0] in GATES or call.makers[1] in GATES:
        gate = first if call.makers[0] in GATES else second
    else:
        return Outcome(call.run(), Operation(Treatment.FALLBACK), call.data)
    maps = second if gate is first else first
    constant = gate.detach().clone()
    output = call.func(*(constant if argument is gate else argument for argument in call.args), **call.kwargs)
    treatment = Treatment.EXACT if is_broadcast else Treatment.FALLBACK
    return Outcome(output, Scaling(treatment, factor=constant), (maps,))


def _sum(call: Call) -> Outcome:
    output = call.run()
    keeps_shape = all(operand.shape == output.shape for operand in call.data)
    is_plain = keeps_shape and "alpha" not in call.kwargs
    return Outcome(output, Sum(operands=len(call.data)) if is_plain else Operation(), call.data)


def _concatenation(call: Call) -> Outcome:
    named = call.named("tensors", "dim")
    output = call.run()
    is_of_channels = named.get("dim", 0) in (1, -3) and output.dim() == 4 and len(call.data) == len(named["tensors"])
    sizes = tuple(operand.shape[1] for operand in call.data)
    return Outcome(output, Concatenation(sizes=sizes) if is_of_channels else Operation(), call.data)


def _identity(call: Call) -> Outcome:
    output = call.run()
    is_same = output is call.data[0] or call.name in ("clone", "contiguous")
    return Outcome(output, Sum(operands=1) if is_same else Operation(), call.data)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    sizes = [size] if isinstance(size, int) else size
    return sizes[0], sizes[-1]


def _plane(maps: Tensor) -> tuple[int, int]:
    return maps.shape[2], maps.shape[3]


_RULES: dict[str, Callable[[Call], Outcome]] = {
    **dict.fromkeys(RELU, _rectify),
    **dict.fromkeys(NEARLY_RELU, partial(_rectify, treatment=Treatment.APPROXIMATE)),
    **dict.fromkeys(BOUNDS, _clamp),
    **dict.fromkeys(("avg_pool2d", "adaptive_avg_pool2d"), _average),
    **dict.fromkeys(("mul", "multiply"), _product),
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenation),
    **dict.fromkeys(("clone", "contiguous", "to", "dropout", "dropout2d", "feature_dropout"), _identity),
    "add": _sum,
    "batch_norm": _batch_norm,
    "conv2d": _convolution,
    "max_pool2d": _max_pool,
}
