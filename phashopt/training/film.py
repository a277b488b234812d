"""The learning process of one training: a few kernels of every layer seen at epochs 0, 1, 2, 4, ... and at the end.

One small safetensors file a trial, rewritten as the training goes on. Keys: `image`, `epochs`, and per width parameter
`kernels.NAME` and `maps.NAME`. A layer fed by the image itself also has `weights.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn

from phashopt.signal.deconvnet import Deconvnet
from phashopt.signal.state import home, undisturbed
from phashopt.training.data import Images, choose_probes
from phashopt.training.files import save_arrays

FILM = "film.safetensors"
KERNELS = 8  # of a layer, evenly spaced
PEAK = 127  # maps and weights are kept as bytes, each scaled by its own largest value


@dataclass
class Strip:
    """One layer at E epochs: `maps` (E, K, C, H, W), `weights` (E, K, C, k, k) or None, of the kernels numbered."""

    kernels: NDArray[np.int32]
    maps: NDArray[np.int8]
    weights: NDArray[np.int8] | None = None


@dataclass
class Film:
    """Every layer's strip, all of the one `image` (C, H, W), at `epochs`."""

    image: NDArray[np.uint8]
    epochs: list[int] = field(default_factory=list)
    strips: dict[str, Strip] = field(default_factory=dict)  # by width parameter

    def save(self, folder: Path) -> None:
        """Write atomically into a trial's folder."""
        arrays: dict[str, NDArray[np.generic]] = {"image": self.image, "epochs": np.array(self.epochs, dtype=np.int32)}
        for name, strip in self.strips.items():
            arrays |= {f"{key}.{name}": value for key, value in vars(strip).items() if value is not None}
        save_arrays(folder / FILM, arrays)

    @classmethod
    def load(cls, folder: Path) -> Film:
        """Read what `save` wrote; `FileNotFoundError` if the trial left none."""
        arrays = load_file(folder / FILM)
        names = sorted(key.removeprefix("maps.") for key in arrays if key.startswith("maps."))
        strips = {
            name: Strip(arrays[f"kernels.{name}"], arrays[f"maps.{name}"], arrays.get(f"weights.{name}"))
            for name in names
        }
        return cls(arrays["image"], arrays["epochs"].tolist(), strips)

    def until(self, epoch: int) -> Film:
        """What was filmed up to `epoch`: the rest belongs to an attempt that was given up."""
        kept = sum(filmed <= epoch for filmed in self.epochs)
        strips = {
            name: Strip(strip.kernels, strip.maps[:kept], None if strip.weights is None else strip.weights[:kept])
            for name, strip in self.strips.items()
        }
        return Film(self.image, self.epochs[:kept], strips)


class Camera:
    """Films one training into `folder`: always the same image of `data`, always the same kernels.

    `readouts` maps module names to width parameters.
    """

    def __init__(self, folder: Path, data: Images, readouts: Mapping[str, str]) -> None:
        self._folder = folder
        self._readouts = readouts
        pixels = data.pixels[choose_probes(data, 1, seed=0)[0]]
        self._image = data.standardise(pixels)[None]
        self._film = Film(pixels.cpu().numpy())

    def rewind(self, epoch: int) -> None:
        """Go on with the folder's film behind `epoch`; where there is none, or a damaged one, with a new one."""
        with suppress(FileNotFoundError, SafetensorError, KeyError):
            self._film = Film.load(self._folder).until(epoch)

    def shoot(self, network: nn.Module, epoch: int, *, last: bool) -> None:
        """Film `network` at epochs 0, 1, 2, 4, ... and at the last one; any other is let pass."""
        is_due = last or epoch & (epoch - 1) == 0
        if not is_due or epoch in self._film.epochs:
            return
        with undisturbed(network):
            deconvnet = Deconvnet(network, self._image.to(*home(network)), list(self._readouts))
            for layer, name in self._readouts.items():
                self._add(name, deconvnet, layer, network.get_submodule(layer))
        self._film.epochs.append(epoch)
        self._film.save(self._folder)

    def _add(self, name: str, deconvnet: Deconvnet, layer: str, module: nn.Module) -> None:
        width = deconvnet.width(layer)
        kernels = np.linspace(0, width, min(KERNELS, width), endpoint=False).astype(np.int32)
        maps = to_bytes(torch.cat(list(deconvnet.reconstruct(layer, kernels.tolist())))[:, 0])
        weights = None
        if isinstance(module, nn.Conv2d) and module.weight.shape[1] == self._image.shape[1]:
            weights = to_bytes(module.weight.detach()[torch.from_numpy(kernels).long()])
        before = self._film.strips.get(name)
        self._film.strips[name] = Strip(
            kernels,
            _appended(before.maps if before else None, maps),
            None if weights is None else _appended(before.weights if before else None, weights),
        )


def to_bytes(signal: Tensor) -> NDArray[np.int8]:
    """(K, ...) as bytes, the largest absolute value of each of the K at 127; what is not finite is 0."""
    values = signal.float().nan_to_num(posinf=0.0, neginf=0.0)
    peaks = values.abs().amax(dim=tuple(range(1, values.dim())), keepdim=True).clamp(min=1e-12)
    return (values / peaks * PEAK).round().to(torch.int8).cpu().numpy()


def _appended(before: NDArray[np.int8] | None, frame: NDArray[np.int8]) -> NDArray[np.int8]:
    return frame[None] if before is None else np.concatenate([before, frame[None]])
