"""Read a network: how redundant its layers are, seen through a few probe images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phashopt.errors import NotFiniteError, UserError
from phashopt.signal.deconvnet import SEEDS, Deconvnet, Seed
from phashopt.signal.fingerprint import fingerprint
from phashopt.signal.phash import MODES, HashMode
from phashopt.signal.redundancy import MIN_PROBES, LayerReport
from phashopt.signal.state import home, recalibrated, refuse_broken_weights, undisturbed
from phashopt.trace import Epoch, Reading, WritableTrial, read_trace, write_trace

ROUTINE_PROBES = 8
ROUTINE_CHANNELS = 128


class Report(Mapping[str, LayerReport]):
    """A network's reading: layer names to `LayerReport`, first layer first.

    `unread` names the convolutions that ran on what does not follow from the images, as far as could be seen.
    """

    def __init__(self, layers: dict[str, LayerReport], unread: Sequence[str] = ()) -> None:
        self._layers = layers
        self.unread = tuple(unread)

    def __getitem__(self, layer: str) -> LayerReport:
        return self._layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def readings(self, widths: Mapping[str, str] | None = None) -> dict[str, Reading]:
        """What the trace keeps, by width parameter (`widths` maps layers to them), by layer name without `widths`."""
        names = widths if widths is not None else {layer: layer for layer in self}
        return {name: self[layer].reading for layer, name in names.items()}


def measure(
    model: nn.Module,
    images: Tensor,
    *,
    std: Sequence[float] | Tensor | None = None,
    layers: Sequence[str] | None = None,
    max_channels: int | None = None,
    hash: HashMode = "mean",  # noqa: A002 - its name in the design
    relative: bool = False,
    calibration: Tensor | None = None,
) -> Report:
    """Read every layer's redundancy through `images` (N, C, H, W), normalised as in training; 8 to 16 are advised.

    `std` (C,) is the data set's, to weigh the channels. `layers` are module names, all convolutions by default.
    Layers with more than `max_channels` kernels are sampled evenly. `relative` hashes what differs from the layer's
    mean reconstruction. `calibration` (M, C, H, W), 1,024 training images or more, refreshes batch-norm statistics
    in a copy. The model comes back as it was. Raises `UserError` for a layer that is not there, for NaN or Inf in
    the weights, and for fewer than 3 probes or a flat one. Source: docs/signal.md, sections 2 to 5.
    """
    _check_probes(images)
    if hash not in MODES:
        raise UserError(f"there is no hash {hash!r}: choose one of {', '.join(MODES)}")
    refuse_broken_weights(model)
    with undisturbed(model):
        network = model if calibration is None else recalibrated(model, calibration)
        deconvnet = Deconvnet(network, images.to(*home(model)), layers)
        deviation = None if std is None else torch.as_tensor(std)
        read = partial(_read, deconvnet, std=deviation, max_channels=max_channels, mode=hash, relative=relative)
        return Report({layer: read(layer) for layer in layers or deconvnet.layers}, deconvnet.unread)


def reconstruct(
    model: nn.Module, images: Tensor, layer: str, channels: Sequence[int] | None = None, seed: Seed = "map"
) -> Tensor:
    """Reconstruct a layer's `channels` (all by default) from `images` (N, C, H, W): (N, K, C, H, W) in input units.

    `seed` is `map` for a channel's whole map or `top` for its strongest position. Raises `UserError` for a layer or
    channel that is not there and for NaN or Inf in the weights. The model comes back as it was.
    """
    if seed not in SEEDS:
        raise UserError(f"there is no seed {seed!r}: choose one of {', '.join(SEEDS)}")
    refuse_broken_weights(model)
    with undisturbed(model):
        deconvnet = Deconvnet(model, images.to(*home(model)), [layer])
        width = deconvnet.width(layer)
        wanted = range(width) if channels is None else channels
        if not all(0 <= channel < width for channel in wanted):
            raise UserError(f"layer {layer!r} has channels 0 to {width - 1}: {list(wanted)} names others")
        return torch.cat(list(deconvnet.reconstruct(layer, wanted, seed))).transpose(0, 1)


class Probe:
    """A fixed set of probe images (N, C, H, W), to read one network after another, or one as it trains.

    `widths` maps layer names to width parameters and says which layers are read; all convolutions under their own
    names by default. A layer may be any module: a residual path is read at its last block. `std` and `calibration`
    are as in `measure`, and a bad probe raises the same `UserError`.
    """

    def __init__(
        self,
        images: Tensor,
        *,
        widths: Mapping[str, str] | None = None,
        std: Sequence[float] | Tensor | None = None,
        calibration: Tensor | None = None,
    ) -> None:
        _check_probes(images)
        self._images = images
        self._widths = widths
        self._std = std
        self._calibration = calibration

    def __len__(self) -> int:
        """How many images."""
        return len(self._images)

    @property
    def calibration_images(self) -> int:
        """How many batch norm is recalibrated on before a reading."""
        return 0 if self._calibration is None else len(self._calibration)

    @property
    def hash(self) -> str:
        """The images' content hash, the same for every trial of a study."""
        return content_hash(self._images)

    def measure(self, model: nn.Module, *, full: bool = True) -> Report:
        """Read with all probes and channels, or, if not `full`, with at most 8 and 128, for trends only."""
        images = self._images if full else _evenly(self._images, ROUTINE_PROBES)
        return measure(
            model,
            images,
            std=self._std,
            layers=None if self._widths is None else list(self._widths),
            max_channels=None if full else ROUTINE_CHANNELS,
            calibration=self._calibration,
        )

    def read(
        self,
        model: nn.Module,
        trial: WritableTrial,
        epoch: int,
        accuracy: float | None = None,
        loss: float | None = None,
        *,
        learning_rate: float | None = None,
        full: bool = False,
    ) -> Report:
        """Measure, and add the row of `epoch` (from 1) to the trace of a running trial; `full` as in `measure`.

        A loss that is NaN was told all the same: it counts as infinite, which the pruner stops at once.
        """
        report = self.measure(model, full=full)
        trace = read_trace(trial.storage.get_trial_system_attrs(trial._trial_id))
        loss = math.inf if loss is not None and math.isnan(loss) else loss
        scalars = {"accuracy": accuracy, "loss": loss, "learning_rate": learning_rate}
        known = {name: math.nan if value is None else value for name, value in scalars.items()}
        trace.add(Epoch(epoch, readings=report.readings(self._widths), **known))
        write_trace(trial, trace)
        return report


def content_hash(images: Tensor) -> str:
    """The first 16 hex digits of the SHA-256 of a tensor's type, shape and bytes."""
    array = images.detach().cpu().contiguous().numpy()
    header = f"{array.dtype} {array.shape}".encode()
    return hashlib.sha256(header + array.tobytes()).hexdigest()[:16]


def _read(
    deconvnet: Deconvnet, layer: str, *, std: Tensor | None, max_channels: int | None, mode: HashMode, relative: bool
) -> LayerReport:
    width = deconvnet.width(layer)
    indices = _even_steps(width, max_channels or width)
    prints = fingerprint(deconvnet.reconstruct(layer, indices.tolist()), std, mode, relative)
    if not np.isfinite(prints.energy).all():
        raise NotFiniteError(f"{layer} overflows: its reconstructions hold NaN or Inf, lower the learning rate")
    return LayerReport(width, indices, prints, **vars(deconvnet.caveats(layer)))


def _evenly(images: Tensor, count: int) -> Tensor:
    return images[torch.from_numpy(_even_steps(len(images), count))]


def _even_steps(length: int, count: int) -> NDArray[np.int64]:
    """At most `count` indices below `length`, evenly spaced."""
    return np.linspace(0, length, min(count, length), endpoint=False).astype(np.int64)


def _check_probes(images: Tensor) -> None:
    if not isinstance(images, Tensor):
        raise UserError(
            f"probe images are a tensor (N, C, H, W), not {type(images).__name__}: torch.from_numpy makes one"
        )
    if images.dim() != 4 or not images.is_floating_point():
        kind = f"{str(images.dtype).removeprefix('torch.')} {tuple(images.shape)}"
        raise UserError(f"probe images are float tensors (N, C, H, W), normalised as in training, not {kind}")
    if len(images) < MIN_PROBES:
        raise UserError(f"{len(images)} probe images tell nothing: give at least {MIN_PROBES}, better 8 to 16")
    spread = images.flatten(2).amax(2) - images.flatten(2).amin(2)
    for number, is_good in enumerate((spread > 0).any(1).tolist()):
        if not is_good:
            raise UserError(f"probe image {number} is flat or holds NaN: choose another")
