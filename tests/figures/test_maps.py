from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from phashopt.figures.labels import group_letter
from phashopt.figures.maps import PAGE, map_pixels, map_sheets
from phashopt.figures.palette import GROUPS

IMAGE = np.zeros((1, 8, 8), dtype=np.uint8)


def sheets(groups: list[int], channels: int = 1) -> list[Figure]:
    maps = np.random.default_rng(0).normal(size=(len(groups), channels, 8, 6)).astype(np.float16)
    return list(map_sheets(maps, np.array(groups), "Layer 1", IMAGE))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[1].texts]


def boxes(figure: Figure) -> list[str]:
    frames = [patch for patch in figure.axes[1].patches if isinstance(patch, Rectangle) and patch.get_linewidth() > 1.5]
    return [to_hex(frame.get_edgecolor()).upper() for frame in frames]


@pytest.mark.parametrize(("kernels", "pages"), [(1, 1), (PAGE, 1), (PAGE + 1, 2), (512, 8)])
def test_every_kernel_is_on_exactly_one_sheet(kernels: int, pages: int) -> None:
    figures = sheets(list(range(kernels)))
    assert len(figures) == pages
    assert [text for figure in figures for text in texts(figure)] == [str(kernel) for kernel in range(kernels)]
    assert sum(len(figure.axes[1].images) for figure in figures) == kernels


def test_groups_of_two_or_more_have_a_box_and_a_letter() -> None:
    (figure,) = sheets([4, 7, 7, 2, 4, 4])
    assert texts(figure) == ["0", "A", "1", "B", "2", "B", "3", "4", "A", "5", "A"]
    assert boxes(figure) == [GROUPS[0], GROUPS[1], GROUPS[1], GROUPS[0], GROUPS[0]]


def test_groups_that_share_a_colour_differ_by_letter() -> None:
    groups = [cluster for cluster in range(len(GROUPS) + 1) for _ in range(2)]
    (figure,) = sheets(groups)
    assert boxes(figure)[0] == boxes(figure)[-1]
    assert {text for text in texts(figure) if text.isalpha()} == {group_letter(rank) for rank in range(len(GROUPS) + 1)}


def test_a_dead_kernel_is_crossed_out_and_has_neither_map_nor_box() -> None:
    (figure,) = sheets([-1, 0, -1])
    axes = figure.axes[1]
    assert texts(figure) == ["0", "dead", "1", "2", "dead"]
    assert (len(axes.images), len(axes.lines), boxes(figure)) == (1, 4, [])


def test_a_living_kernel_that_does_not_answer_is_said_to_be_silent() -> None:
    maps = np.ones((3, 1, 8, 6), np.float16)
    maps[1] = 0
    (figure,) = map_sheets(maps, np.array([0, 0, 1]), "Layer 1", IMAGE)
    assert texts(figure) == ["0", "A", "1", "silent\nhere", "A", "2"]


def _alike(kernels: int, pair: tuple[int, int], level: float) -> NDArray[np.float64]:
    similarity = np.full((kernels, kernels), 0.5)
    similarity[pair, pair[::-1]] = level
    np.fill_diagonal(similarity, 1)
    return similarity


@pytest.mark.parametrize(
    ("level", "named"), [(0.95, "0.80"), (0.81, "0.80"), (0.76, "0.75"), (0.71, "0.70"), (0.6, None)]
)
def test_where_no_two_are_the_same_the_nearest_have_dashed_boxes(level: float, named: str | None) -> None:
    maps = np.ones((4, 1, 8, 6), np.float16)
    (figure,) = map_sheets(maps, np.array([0, 1, 2, 3]), "Layer 1", IMAGE, _alike(4, (1, 3), level))
    assert texts(figure) == (["0", "1", "A", "2", "3", "A"] if named else ["0", "1", "2", "3"])
    assert any(f"dashed boxes: at {named}" in text.get_text() for text in figure.texts) is bool(named)
    assert all(patch.get_linestyle() != "-" for patch in figure.axes[1].patches)


def test_groups_of_the_same_are_boxed_whatever_else_is_near() -> None:
    maps = np.ones((4, 1, 8, 6), np.float16)
    (figure,) = map_sheets(maps, np.array([0, 0, -1, 1]), "Layer 1", IMAGE, _alike(4, (1, 3), 0.86))
    assert boxes(figure) == [GROUPS[0], GROUPS[0]]
    assert not any("dashed" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_zero_is_mid_grey_and_the_largest_value_is_an_extreme(channels: int) -> None:
    signal = np.zeros((channels, 4, 4))
    signal[:, 1, 2] = -3.0
    pixels = map_pixels(signal)
    np.testing.assert_array_equal(pixels[1, 2], [0.0] * 3)
    np.testing.assert_array_equal(pixels[0, 0], [0.5] * 3)


@pytest.mark.parametrize("scale", [2.0, 1024.0, 2.0**-10])
def test_a_map_looks_the_same_at_any_scale(scale: float) -> None:
    signal = np.random.default_rng(0).normal(size=(3, 5, 5))
    np.testing.assert_array_equal(map_pixels(scale * signal), map_pixels(signal))


@pytest.mark.parametrize("entry", [0.0, math.nan, math.inf])
def test_a_map_without_a_signal_is_mid_grey(entry: float) -> None:
    np.testing.assert_array_equal(map_pixels(np.full((1, 3, 3), entry)), np.full((3, 3, 3), 0.5))
