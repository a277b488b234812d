"""What a finished trial leaves to look at: similarity matrices, groups and one image's reconstructions per layer.

One safetensors file a trial. Keys: `image`, and per width parameter `similarity.NAME`, `groups.NAME`, `maps.NAME`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from phashopt.training.files import save_arrays


@dataclass(frozen=True)
class LayerSnapshot:
    """One layer of K kernels, seen through one probe image."""

    similarity: NDArray[np.float32]  # (K, K), NaN where a channel is dead
    groups: NDArray[np.int32]  # (K,), cluster number of each channel, -1 for a dead one
    maps: NDArray[np.float16]  # (K, C, H, W), reconstructions of `Snapshot.image`


@dataclass(frozen=True)
class Snapshot:
    """All layers of a network at the end of training."""

    image: NDArray[np.uint8]  # (C, H, W), the probe image as pixels
    layers: dict[str, LayerSnapshot]  # by width parameter

    def save(self, path: Path) -> None:
        """Write atomically."""
        arrays: dict[str, NDArray[np.generic]] = {"image": self.image}
        for name, layer in self.layers.items():
            arrays |= {f"{key}.{name}": value for key, value in vars(layer).items()}
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Snapshot:
        """Read what `save` wrote; `FileNotFoundError` if the trial left none."""
        arrays = load_file(path)
        names = sorted(key.removeprefix("similarity.") for key in arrays if key.startswith("similarity."))
        keys = ("similarity", "groups", "maps")
        layers = {name: LayerSnapshot(*(arrays[f"{key}.{name}"] for key in keys)) for name in names}
        return cls(image=arrays["image"], layers=layers)
