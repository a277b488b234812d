from __future__ import annotations

import imagehash
import numpy as np
import pytest
import scipy.fft
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from phashopt.errors import UserError
from phashopt.signal.phash import perceptual_hash, spectrum

PIXELS = arrays(np.uint8, (32, 32), elements=st.integers(0, 255))


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(50))
def test_median_equals_imagehash(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), dtype=np.uint8)
    expected = imagehash.phash(Image.fromarray(pixels)).hash.flatten()
    np.testing.assert_array_equal(perceptual_hash(torch.from_numpy(pixels), "median").numpy(), expected)


@pytest.mark.parametrize("size", [(28, 28), (32, 32), (8, 8), (9, 31)])
def test_sides_from_8_to_32_are_transformed_as_they_are(size: tuple[int, int]) -> None:
    images = noise(3, *size)
    expected = scipy.fft.dctn(images.numpy(), axes=(1, 2), norm="ortho")[:, :8, :8]
    np.testing.assert_allclose(spectrum(images).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "resize"),
    [
        ((48, 65), lambda images: F.interpolate(images, (32, 32), mode="area")),
        ((33, 20), lambda images: F.interpolate(images, (32, 20), mode="area")),
        ((5, 7), lambda images: F.interpolate(images, (8, 8), mode="bilinear")),
        ((1, 12), lambda images: F.interpolate(images, (8, 12), mode="bilinear")),
    ],
)
def test_other_sides_are_resized_first(size: tuple[int, int], resize) -> None:
    images = noise(2, 3, *size)
    torch.testing.assert_close(spectrum(images), spectrum(resize(images)))


@given(PIXELS, st.integers(-20, 20))
def test_scaling_by_powers_of_two_changes_no_bit(pixels: np.ndarray, exponent: int) -> None:
    image = torch.from_numpy(pixels).double()
    assert torch.equal(perceptual_hash(image), perceptual_hash(image * 2.0**exponent))


@pytest.mark.parametrize("mode", ["mean", "median"])
def test_a_negative_has_the_opposite_hash(mode: str) -> None:
    images = noise(20, 28, 28)
    assert torch.equal(perceptual_hash(images, mode), ~perceptual_hash(-images, mode))


@pytest.mark.parametrize(("mode", "bits"), [("mean", 63), ("median", 64)])
def test_every_leading_dimension_is_a_batch(mode: str, bits: int) -> None:
    images = noise(2, 3, 5, 16, 16)
    hashes = perceptual_hash(images, mode)
    assert hashes.shape == (2, 3, 5, bits)
    assert hashes.dtype == torch.bool
    assert torch.equal(hashes[1, 2, 3], perceptual_hash(images[1, 2, 3], mode))


def test_a_constant_added_to_an_image_changes_no_bit() -> None:
    images = noise(20, 28, 28)
    assert torch.equal(perceptual_hash(images), perceptual_hash(images + 0.5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precisions_are_transformed_in_float32(dtype: torch.dtype) -> None:
    images = noise(4, 28, 28).to(dtype)
    assert spectrum(images).dtype == torch.float32
    assert (perceptual_hash(images) != perceptual_hash(images.double())).float().mean() < 0.005


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(UserError, match=r"'average'.*mean, median"):
        perceptual_hash(noise(8, 8), "average")
