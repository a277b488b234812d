"""From a layer's reconstructions to one hash a channel and probe, and which of them mean anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phashopt.signal.phash import HashMode, alternating, spectrum, threshold

LUMA = (0.299, 0.587, 0.114)
LUMA_SHARE = 0.05
FLAT = 1e-6
FAINT = 1e-6


@dataclass(frozen=True)
class Fingerprints:
    """A layer's hashes over N probes and K channels (SIGNAL.md, sections 3 and 4)."""

    bits: NDArray[np.bool_]  # (N, K, bits)
    valid: NDArray[np.bool_]  # (N, K), false where the reconstruction is empty, faint or flat
    energy: NDArray[np.float64]  # (N, K), sum of squares over pixels


@dataclass(frozen=True)
class _Spectra:
    """What hashing needs to know of reconstructions, K channels first."""

    energy: Tensor  # (K, N)
    luma_energy: Tensor  # (K, N), of the grey image; the whole energy where there are no three colours
    coefficients: Tensor  # (K, N, C, 8, 8)


def fingerprint(chunks: Iterable[Tensor], std: Tensor | None, mode: HashMode, relative: bool) -> Fingerprints:
    """Hash reconstructions that come in chunks (k, N, C, H, W), each multiplied by the per-channel `std` (C,) first.

    `relative` subtracts, probe by probe, the mean over the layer's valid channels before hashing.
    """
    spectra = _gather([_analyse(chunk, std) for chunk in chunks])
    images = _hashed_images(spectra)
    flat = _is_flat(images, spectra.energy)
    valid = _is_strong(spectra.energy) & ~flat.all(-1)
    if relative:
        images = images - _mean_over(images, valid)
        flat = _is_flat(images, spectra.energy)
    # What is left of a flat image is rounding, whose signs would be noise.
    bits = threshold(images.masked_fill(flat[..., None, None], 0), mode).flatten(2)
    return Fingerprints(_probes_first(bits), _probes_first(valid), _probes_first(spectra.energy.double()))


def _analyse(maps: Tensor, std: Tensor | None) -> _Spectra:
    if std is not None:
        maps = maps * std.to(maps)[:, None, None]
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    planes = maps.flatten(3)
    products = planes @ planes.transpose(2, 3)
    energy = products.diagonal(dim1=2, dim2=3).sum(2)
    luma_energy = energy
    if maps.shape[2] == len(LUMA):
        luma = maps.new_tensor(LUMA)
        luma_energy = products @ luma @ luma
    return _Spectra(energy, luma_energy, spectrum(maps))


def _gather(chunks: list[_Spectra]) -> _Spectra:
    return _Spectra(*(torch.cat(parts) for parts in zip(*(vars(chunk).values() for chunk in chunks), strict=True)))


def _hashed_images(spectra: _Spectra) -> Tensor:
    """The coefficients (K, N, J, 8, 8) of the J images to hash: one grey image, or one for each input channel."""
    coefficients = spectra.coefficients
    is_grey = spectra.luma_energy.sum() >= LUMA_SHARE * spectra.energy.sum()
    if coefficients.shape[2] == len(LUMA) and is_grey:
        return torch.einsum("kncuv,c->knuv", coefficients, coefficients.new_tensor(LUMA))[:, :, None]
    return coefficients


def _is_flat(images: Tensor, energy: Tensor) -> Tensor:
    """(K, N, J): where nothing but a constant, up to rounding, would be hashed."""
    return alternating(images).std(-1) <= FLAT * energy.sqrt()[..., None]


def _is_strong(energy: Tensor) -> Tensor:
    """(K, N): the median of the positive energies, not of all, or a layer mostly dead would have no dead maps."""
    positive = energy > 0
    if not positive.any():
        return positive
    return positive & (energy >= FAINT * energy[positive].median())


def _mean_over(images: Tensor, valid: Tensor) -> Tensor:
    weight = valid.to(images)[..., None, None, None]
    return (images * weight).sum(0) / weight.sum(0).clamp(min=1)


def _probes_first(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.transpose(0, 1).contiguous().cpu().numpy()
    return array
