"""A training saved whole: weights, optimizer, schedule, random state, counters and trace, in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from phashopt.trace import Trace
from phashopt.training.files import save_arrays
from phashopt.training.loop import Trainer
from phashopt.training.schedule import Schedule

RANDOM_STATE = "generator"


@dataclass
class Clock:
    """Seconds spent so far, over all attempts, and the epochs that another training had paid for before.

    A training that started again from another seed, `restarts` times, has paid for `lost_images` and `lost_readings`.
    One that was told to stop is `stopped`, whoever takes it up again.
    """

    train_seconds: float = 0.0
    signal_seconds: float = 0.0
    inherited_epochs: int = 0
    restarts: int = 0
    lost_images: int = 0
    lost_readings: int = 0
    stopped: bool = False


def save_checkpoint(path: Path, trainer: Trainer, trace: Trace, clock: Clock) -> None:
    """Write the state at an epoch's end, atomically."""
    optimizer = trainer.optimizer.state_dict()
    tensors = {f"network.{name}": tensor for name, tensor in trainer.network.state_dict().items()}
    tensors[RANDOM_STATE] = trainer.generator.get_state()
    scalars: dict[str, dict[str, Any]] = {}
    for index, state in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items() if isinstance(value, Tensor)}
        scalars[str(index)] = {key: value for key, value in state.items() if not isinstance(value, Tensor)}
    document = {
        "epoch": trainer.epoch,
        "images_seen": trainer.images_seen,
        "schedule": asdict(trainer.schedule),
        "recipe": trainer.recipe.model_dump(),
        "groups": [{**group, "lr": float(group["lr"])} for group in optimizer["param_groups"]],
        "scalars": scalars,
        "clock": asdict(clock),
        "trace": trace.to_json(digits=None),  # what is gone on with ends as it would have
    }
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    save_arrays(path, arrays, {"checkpoint": json.dumps(document)})


def load_checkpoint(path: Path, trainer: Trainer) -> tuple[Trace, Clock]:
    """Bring `trainer` to the saved state, bit for bit; returns the trace and the seconds so far.

    The schedule's length is taken from the trainer where the saved training had not begun to decay, so that a run can
    be extended from its stable phase. Raises `FileNotFoundError`, or `ValueError` if the file is of another training.
    """
    document, tensors = _read(path)
    same = {**document["recipe"], "epochs": trainer.recipe.epochs} == trainer.recipe.model_dump(mode="json")
    if not same:
        raise ValueError(f"{path.name} was written by another recipe")
    trainer.network.load_state_dict(
        {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}
    )
    trainer.optimizer.load_state_dict(
        {"state": _optimizer_state(trainer, document["scalars"], tensors), "param_groups": _groups(trainer, document)}
    )
    if tensors[RANDOM_STATE].shape == trainer.generator.get_state().shape:  # else the generator of another device
        trainer.generator.set_state(tensors[RANDOM_STATE])
    trainer.epoch = document["epoch"]
    trainer.images_seen = document["images_seen"]
    saved = Schedule(**document["schedule"])
    if document["recipe"]["epochs"] == trainer.recipe.epochs or trainer.epoch > saved.decay_start:
        trainer.schedule = saved
    return Trace.from_json(document["trace"]), Clock(**document["clock"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt") as file:
            document = json.loads(file.metadata()["checkpoint"])
            return document, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path.name} is no checkpoint, or a damaged one") from error


def _groups(trainer: Trainer, document: dict[str, Any]) -> list[dict[str, Any]]:
    """As saved, but for what belongs to the device."""
    own = [
        {"capturable": group["capturable"]} if "capturable" in group else {} for group in trainer.optimizer.param_groups
    ]
    return [{**saved, **kept} for saved, kept in zip(document["groups"], own, strict=True)]


def _optimizer_state(
    trainer: Trainer, scalars: dict[str, dict[str, Any]], tensors: dict[str, Tensor]
) -> dict[int, dict[str, Any]]:
    """The saved state in its parameters' memory layout, which the fused optimizers take for granted."""
    parameters = [parameter for group in trainer.optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in scalars.items()}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            like = parameters[int(index)]
            state[int(index)][key] = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
    return state
