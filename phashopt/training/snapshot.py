"""What a finished trial leaves to look at: similarity matrices, groups and one image's reconstructions per layer.

One safetensors file a trial. Keys: `image`, and per width parameter `similarity.NAME`, `groups.NAME`, `maps.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import Tensor, nn

from phashopt.signal import Report, reconstruct
from phashopt.training.data import Images
from phashopt.training.files import save_arrays

SNAPSHOT = "snapshot.safetensors"


@dataclass(frozen=True)
class LayerSnapshot:
    """One layer of K kernels, seen through one probe image."""

    similarity: NDArray[np.float32]  # (K, K), NaN where a channel is dead
    groups: NDArray[np.int32]  # (K,), cluster number of each channel, -1 for a dead one
    maps: NDArray[np.float16]  # (K, C, H, W), reconstructions of `Snapshot.image`, each scaled to at most 1


@dataclass(frozen=True)
class Snapshot:
    """All layers of a network at the end of training."""

    image: NDArray[np.uint8]  # (C, H, W), the probe image as pixels
    layers: dict[str, LayerSnapshot]  # by width parameter

    def save(self, folder: Path) -> None:
        """Write atomically into a trial's folder."""
        arrays: dict[str, NDArray[np.generic]] = {"image": self.image}
        for name, layer in self.layers.items():
            arrays |= {f"{key}.{name}": value for key, value in vars(layer).items()}
        save_arrays(folder / SNAPSHOT, arrays)

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Read what `save` wrote; `FileNotFoundError` if the trial left none."""
        arrays = load_file(folder / SNAPSHOT)
        names = sorted(key.removeprefix("similarity.") for key in arrays if key.startswith("similarity."))
        keys = ("similarity", "groups", "maps")
        layers = {name: LayerSnapshot(*(arrays[f"{key}.{name}"] for key in keys)) for name in names}
        return cls(image=arrays["image"], layers=layers)


def take_snapshot(
    network: nn.Module, images: Images, index: int, report: Report, readouts: Mapping[str, str]
) -> Snapshot:
    """Reconstruct image number `index` from every layer of `readouts` (module name -> width parameter)."""
    pixels = images.pixels[index]
    standardised = images.standardise(pixels)[None]
    layers = {}
    for layer, name in readouts.items():
        layers[name] = LayerSnapshot(
            similarity=report[layer].similarity.astype(np.float32),
            groups=report[layer].groups.astype(np.int32),
            maps=scaled_to_peak(reconstruct(network, standardised, layer)[0]),
        )
    return Snapshot(pixels.cpu().numpy(), layers)


def scaled_to_peak(maps: Tensor) -> NDArray[np.float16]:
    """(K, C, H, W), each map divided by its largest absolute value: what a picture needs, in few bytes."""
    maps = maps.float()
    peak = maps.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    scaled: NDArray[np.float16] = (maps / peak).half().cpu().numpy()
    return scaled
