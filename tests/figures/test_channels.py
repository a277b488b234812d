from __future__ import annotations

import numpy as np
import pytest

from phashopt.figures.channels import channel_sheet, row_pixels
from phashopt.figures.maps import map_pixels

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_row_of_pictures_shares_one_scale(channels: int) -> None:
    maps = RNG.normal(size=(4, channels, 5, 6)) * np.array([1.0, 0.5, 2.0, 0.1])[:, None, None, None]
    pictures = row_pixels(maps)
    peak = [np.abs(maps[index].mean(0) if channels == 1 else maps[index]).max() for index in range(4)]
    spread = [np.abs(picture - 0.5).max() for picture in pictures]
    np.testing.assert_allclose(spread, 0.5 * np.array(peak) / max(peak))
    np.testing.assert_allclose(pictures[int(np.argmax(peak))], map_pixels(maps[int(np.argmax(peak))]))


def test_each_kernel_has_its_rows_below_the_images() -> None:
    images = list(RNG.integers(0, 256, (5, 3, 6, 6), dtype=np.uint8))
    maps = RNG.normal(size=(5, 3, 6, 6))
    figure = channel_sheet("T", images, {7: {"whole map": maps, "strongest": maps}, 2: {"whole map": maps}})
    assert len(figure.axes[0].images) == 5 * (1 + 3)
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels[5:] == ["images", "kernel 7\nwhole map", "kernel 7\nstrongest", "kernel 2\nwhole map"]
