"""Leave a model as it was found, and give a copy of it the batch-norm statistics it will have once trained."""

from __future__ import annotations

import copy
import math
import random
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from phashopt.errors import NotFiniteError, UserError

CALIBRATION_BATCH = 256


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, full precision, gradients and no compiled code inside; all is restored outside.

    Modes are set module by module: a user's own `train()` may do more than switch. Gradients are never written.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    device = home(model)[0]
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        _uncompiled(),
    ):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            for module, name, buffer, saved in buffers:
                _restore(module, name, buffer, saved)
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def home(model: nn.Module) -> tuple[torch.device, torch.dtype]:
    """The device and the floating type that a model's images belong to: those of its first parameter."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.device, parameter.dtype
    return torch.device("cpu"), torch.get_default_dtype()


def duplicate(model: nn.Module) -> nn.Module:
    """A copy of `model` that shares nothing with it."""
    # torch refuses tensors with a history, such as the weight that `nn.utils.weight_norm` computes and keeps.
    derived = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    return copy.deepcopy(model, derived)


def recalibrated(model: nn.Module, images: Tensor) -> nn.Module:
    """A copy of `model`, in evaluation mode, whose batch norms hold the statistics of `images` (M, C, H, W).

    The model itself is returned where no batch norm keeps statistics.
    """
    if not _norms(model):
        return model
    calibrated = duplicate(model).eval()
    for norm in _norms(calibrated):
        norm.reset_running_stats()
        norm.momentum = None
        norm.training = True
    device, dtype = home(model)
    with torch.no_grad():
        for batch in images.detach().tensor_split(math.ceil(len(images) / CALIBRATION_BATCH)):
            calibrated(batch.to(device, dtype))
    return calibrated.eval()


def refuse_broken_weights(model: nn.Module) -> None:
    """Raise `UserError`, naming it, if a parameter or buffer holds NaN or Inf or has no place in a gradient."""
    named = [*model.named_parameters(), *model.named_buffers()]
    for name, tensor in named:
        if tensor.is_inference():
            raise UserError(f"{name} was made under torch.inference_mode: build and load the model outside of it")
    tensors = [(name, tensor) for name, tensor in named if tensor.is_floating_point()]
    if not tensors:
        return
    finite = torch.stack([torch.isfinite(tensor.detach()).all().cpu() for _, tensor in tensors])
    for (name, _), is_finite in zip(tensors, finite.tolist(), strict=True):
        if not is_finite:
            raise NotFiniteError(f"{name} holds NaN or Inf: the training diverged, lower the learning rate")


def _uncompiled() -> AbstractContextManager[object]:
    # Compiled code runs past whoever records it; without dynamo there is none, and importing it takes seconds.
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def _restore(module: nn.Module, name: str, buffer: Tensor, saved: Tensor) -> None:
    module._buffers[name] = buffer
    # Writing an unchanged buffer would still break a backward pass that is waiting for it.
    if not torch.equal(buffer, saved):
        with torch.no_grad():
            buffer.copy_(saved)
