from __future__ import annotations

import numpy as np
import pytest

from phashopt.figures.explanations import CAM_CAPTION, Explained, clipped, grad_cam_sheet, guided_sheet, heat_pixels
from phashopt.figures.maps import image_pixels


def explained(channels: int = 3) -> Explained:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (channels, 8, 6), dtype=np.uint8)
    heat = rng.uniform(size=(2, 8, 6))
    signed = rng.normal(size=(2, channels, 8, 6))
    return Explained("cat\nsaid: dog", image, heat[0], heat[1], signed[0], signed[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_sheets_have_a_row_an_image_and_the_papers_columns(channels: int) -> None:
    images = [explained(channels)] * 4
    assert len(grad_cam_sheet("T", "conv1", "conv9", images).axes[0].images) == 4 * 3
    assert len(guided_sheet("T", images).axes[0].images) == 4 * 4


def test_the_caption_names_the_layers_and_what_the_sheet_is_evidence_of() -> None:
    words = " ".join(text.get_text() for text in grad_cam_sheet("T", "conv1", "conv9", [explained()]).texts)
    assert " ".join(words.split()).endswith(CAM_CAPTION.format(first="conv1", last="conv9"))
    assert "Adebayo" in " ".join(text.get_text() for text in guided_sheet("T", [explained()]).texts)


@pytest.mark.parametrize("scale", [0.25, 1.0, 1024.0])
def test_heat_is_relative_to_its_own_peak(scale: float) -> None:
    one = explained()
    np.testing.assert_array_equal(heat_pixels(one.image, scale * one.first), heat_pixels(one.image, one.first))


def test_where_there_is_no_heat_the_grey_image_is_seen() -> None:
    one = explained()
    heat = np.zeros((8, 6))
    grey = image_pixels(one.image).mean(2, keepdims=True).repeat(3, 2)
    np.testing.assert_allclose(heat_pixels(one.image, heat), grey)
    heat[2, 3] = 1
    differs = np.abs(heat_pixels(one.image, heat) - grey).max(2) > 1e-9
    assert differs.sum() == 1
    assert differs[2, 3]


def test_a_lonely_extreme_does_not_dim_the_rest() -> None:
    signal = np.concatenate([np.linspace(-1, 1, 999), [1000.0]]).reshape(1, 10, 100)
    assert np.abs(clipped(signal)).max() <= 1
    np.testing.assert_array_equal(clipped(np.zeros((1, 2, 2))), np.zeros((1, 2, 2)))
