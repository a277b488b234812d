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
    """A layer's hashes over N probes and K channels (docs/signal.md, sections 3 and 4)."""

    bits: NDArray[np.bool_]  # (N, K, bits)
    valid: NDArray[np.bool_]  # (N, K), false where the reconstruction is empty, faint or flat
    energy: NDArray[np.float64]  # (N, K), sum of squares over pixels


@dataclass(frozen=True)
class _Spectra:
    """What hashing needs to know of reconstructions, K channels first."""

    products: Tensor  # (K, N, C, C), sums over pixels of one colour times another
    coefficients: Tensor  # (K, N, C, 8, 8)

    @property
    def energy(self) -> Tensor:
        """(K, N), the sum of squares."""
        return self.products.diagonal(dim1=2, dim2=3).sum(2)

    def weighted(self, factor: Tensor) -> _Spectra:
        """Those of the same reconstructions with each colour multiplied by its `factor` (C,)."""
        return _Spectra(self.products * torch.outer(factor, factor), self.coefficients * factor[:, None, None])


def fingerprint(chunks: Iterable[Tensor], std: Tensor | None, mode: HashMode, relative: bool) -> Fingerprints:
    """Hash reconstructions that come in chunks (k, N, C, H, W), each multiplied by the per-channel `std` (C,) first.

    `relative` subtracts, probe by probe, the mean over the layer's valid channels before hashing.
    """
    spectra = _gather([_analyse(chunk) for chunk in chunks])
    # All that a chunk is asked is linear in each colour, so the weights can wait.
    if std is not None:
        spectra = spectra.weighted(std.to(spectra.products))
    energy, images = spectra.energy, _hashed_images(spectra)
    flat = _is_flat(images, energy)
    valid = _is_strong(energy) & ~flat.all(-1)
    if relative:
        images = images - _mean_over(images, valid)
        flat = _is_flat(images, energy)
    # What is left of a flat image is rounding, whose signs would be noise.
    bits = threshold(images.masked_fill(flat[..., None, None], 0), mode).flatten(2)
    return Fingerprints(_probes_first(bits), _probes_first(valid), _probes_first(energy.double()))


def _analyse(maps: Tensor) -> _Spectra:
    maps = maps.to(torch.promote_types(maps.dtype, torch.float32))
    planes = maps.flatten(3)
    return _Spectra(planes @ planes.transpose(2, 3), spectrum(maps))


def _gather(chunks: list[_Spectra]) -> _Spectra:
    return _Spectra(*(torch.cat(parts) for parts in zip(*(vars(chunk).values() for chunk in chunks), strict=True)))


def _hashed_images(spectra: _Spectra) -> Tensor:
    """The coefficients (K, N, J, 8, 8) of the J images to hash: one grey image, or one for each input channel."""
    products, coefficients = spectra.products, spectra.coefficients
    if products.shape[2] != len(LUMA):
        return coefficients
    luma = products.new_tensor(LUMA)
    is_grey = (products @ luma @ luma).sum() >= LUMA_SHARE * spectra.energy.sum()
    return (luma @ coefficients.flatten(3)).view_as(coefficients[:, :, 0])[:, :, None] if is_grey else coefficients


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
