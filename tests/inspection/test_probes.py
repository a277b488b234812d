from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from phashopt.errors import UserError
from phashopt.inspection.probes import resized, take_probes, with_channels
from phashopt.training.data import RawData, Standardisation

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (5, 3, 9, 7), dtype=np.uint8)


def test_probes_are_balanced_and_not_flat(raw: RawData) -> None:
    probes = take_probes(raw, 8, 3, None, None)
    assert sorted(probes.labels) == sorted(["ape", "bee", "cat", "dog"] * 2)
    assert (probes.pixels.max((1, 2, 3)) > probes.pixels.min((1, 2, 3))).all()


def test_the_test_split_is_not_touched(raw: RawData) -> None:
    apart = replace(raw, test=(raw.images[:0], raw.labels[:0]))
    kept = {image.tobytes() for image in take_probes(raw, 60, 3, None, None).pixels}
    every = {image.tobytes() for image in take_probes(apart, 60, 3, None, None).pixels}
    assert len(every) == 20
    assert kept < every


def test_images_are_standardised_by_the_datas_own_statistics(raw: RawData) -> None:
    raw = replace(raw, test=(raw.images[:0], raw.labels[:0]))
    probes = take_probes(raw, 8, 3, None, None)
    pixels = raw.images / 255
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    expected = (probes.pixels / 255 - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(probes.images, torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)


def test_or_by_those_given(raw: RawData) -> None:
    probes = take_probes(raw, 8, 3, None, Standardisation((0.5,) * 3, (0.25,) * 3))
    torch.testing.assert_close(probes.images, (torch.from_numpy(probes.pixels) / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("size", [(8, 8), (20, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_probes_have_the_shape_asked_for(raw: RawData, size: tuple[int, int], channels: int) -> None:
    probes = take_probes(raw, 4, channels, size, None)
    assert probes.pixels.shape == (4, channels, *size)
    assert probes.images.shape == (4, channels, *size)


def test_grey_is_pillows() -> None:
    grey = with_channels(COLOUR, 1)
    expected = np.stack([np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("L")) for image in COLOUR])
    assert np.abs(grey[:, 0].astype(int) - expected).max() <= 1


def test_grey_becomes_three_equal_colours() -> None:
    colours = with_channels(COLOUR[:, :1], 3)
    assert all(np.array_equal(colours[:, index], COLOUR[:, 0]) for index in range(3))
    np.testing.assert_array_equal(with_channels(colours, 1)[:, 0], COLOUR[:, 0])
    assert with_channels(COLOUR, 3) is COLOUR


@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_one_line(channels: int) -> None:
    with pytest.raises(UserError, match=f"takes {channels} channels, the images have 3"):
        with_channels(COLOUR, channels)


def test_statistics_of_other_channels_are_one_line(raw: RawData) -> None:
    with pytest.raises(UserError, match="takes 3 channels, mean and std have 1, 1"):
        take_probes(raw, 8, 3, None, Standardisation((0.5,), (0.2,)))


def test_resizing_keeps_a_flat_image_and_its_own_size() -> None:
    flat = torch.full((2, 3, 9, 7), 200, dtype=torch.uint8)
    assert torch.equal(resized(flat, (30, 4)), torch.full((2, 3, 30, 4), 200, dtype=torch.uint8))
    assert resized(flat, (9, 7)) is flat
