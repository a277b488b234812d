"""How one network is trained: every number fixed. A study spec gives ranges, a trial picks a recipe from them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """Random changes of images, each in pixels; 0 is off. `mirror` only where a mirrored image keeps its class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shift: int = Field(2, ge=0)
    mirror: bool = True
    cutout: int = Field(0, ge=0)


class Recipe(BaseModel):
    """Epochs and step size of one training; SGD with Nesterov momentum, or AdamW."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(ge=1, le=100_000)  # more than anybody waits for
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(64, ge=1)
    weight_decay: float = Field(5e-4, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    momentum: float = Field(0.9, ge=0, lt=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    augmentation: Augmentation = Augmentation()
