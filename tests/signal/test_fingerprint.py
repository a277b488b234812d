from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from phashopt.signal.fingerprint import Fingerprints, fingerprint
from phashopt.signal.phash import perceptual_hash

LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)


def maps(channels: int, colours: int, side: int = 16, probes: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(channels, probes, colours, side, side, dtype=torch.float64, generator=generator)


def hashed(
    reconstructions: Tensor, std: Tensor | None = None, mode: str = "mean", relative: bool = False
) -> Fingerprints:
    return fingerprint([reconstructions], std, mode, relative)


def test_one_input_channel_is_hashed_as_it_is() -> None:
    grey = maps(5, 1)
    np.testing.assert_array_equal(hashed(grey).bits, perceptual_hash(grey[:, :, 0]).transpose(0, 1))


def test_three_are_hashed_as_luma_weighted_by_the_data_sets_deviation() -> None:
    colour, std = maps(5, 3), torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    luma = (colour * (std * LUMA)[:, None, None]).sum(2)
    np.testing.assert_array_equal(hashed(colour, std).bits, perceptual_hash(luma).transpose(0, 1))


@pytest.mark.parametrize(("colours", "bits"), [(1, 63), (2, 126), (3, 63), (4, 252)])
def test_other_channel_counts_have_a_hash_a_channel(colours: int, bits: int) -> None:
    assert hashed(maps(5, colours)).bits.shape == (4, 5, bits)


def test_opponent_colours_are_hashed_one_by_one() -> None:
    grey = maps(5, 1)
    opponent = torch.cat([grey / LUMA[0], -grey / LUMA[1], grey * 0], 2)
    np.testing.assert_array_equal(hashed(opponent).bits[..., :63], perceptual_hash(grey[:, :, 0]).transpose(0, 1))
    assert hashed(opponent).bits.shape == (4, 5, 189)


def test_chunks_are_one_layer() -> None:
    whole = maps(7, 3)
    parts = fingerprint(whole.split(3), None, "mean", False)
    for ours, theirs in zip(vars(parts).values(), vars(hashed(whole)).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spoil", [lambda image: image * 0, lambda image: image * 0 + 0.1, lambda image: image * 1e-4])
def test_empty_flat_and_faint_maps_are_invalid(spoil, dtype: torch.dtype) -> None:
    spoilt = maps(6, 1).to(dtype)
    spoilt[2, 1] = spoil(spoilt[2, 1])
    expected = np.ones((4, 6), bool)
    expected[1, 2] = False
    np.testing.assert_array_equal(hashed(spoilt).valid, expected)


def test_a_layer_mostly_dead_still_shows_its_dead_maps() -> None:
    layer = maps(8, 1)
    layer[3:] *= 1e-7
    layer[5:] = 0
    np.testing.assert_array_equal(hashed(layer).valid.all(0), [True] * 3 + [False] * 5)


def test_relative_removes_what_all_live_maps_share() -> None:
    layer, outline = maps(6, 1), 100 * maps(1, 1, probes=4)[0].flip(-1)
    layer[5] = 0
    shared = layer + outline
    shared[5] = 0
    ours, expected = hashed(shared, relative=True), hashed(layer, relative=True)
    np.testing.assert_array_equal(ours.valid, expected.valid)
    np.testing.assert_array_equal(ours.bits[ours.valid], expected.bits[expected.valid])


def test_what_relative_leaves_of_identical_maps_is_identical() -> None:
    twins = maps(1, 1).expand(5, -1, -1, -1, -1)
    prints = hashed(twins, relative=True)
    assert prints.valid.all()
    assert not prints.bits.any()


def test_energy_is_the_sum_of_squared_pixels() -> None:
    colour, std = maps(5, 3), torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    expected = (colour * std[:, None, None]).square().sum((2, 3, 4)).T
    np.testing.assert_allclose(hashed(colour, std).energy, expected)
