from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from phashopt.figures.palette import NO_DATA
from phashopt.figures.similarity import COLOURS, mean_similarity, similarity_matrices, triangle_colours


def matrix(kernels: int, seed: int = 0) -> np.ndarray:
    entries = np.random.default_rng(seed).uniform(size=(kernels, kernels)).astype(np.float32)
    entries = (entries + entries.T) / 2
    np.fill_diagonal(entries, 1.0)
    return entries


def test_only_pairs_above_the_diagonal_are_visible() -> None:
    alpha = triangle_colours(matrix(7))[..., 3]
    np.testing.assert_array_equal(alpha, np.triu(np.ones((7, 7)), k=1))


def test_equal_similarities_have_equal_colours_whatever_else_is_in_the_matrix() -> None:
    low, high = matrix(5), matrix(5, seed=1)
    low[0, 1] = high[0, 1] = 0.6
    low[2, 3], high[2, 3] = 0.61, 0.99
    np.testing.assert_array_equal(triangle_colours(low)[0, 1], triangle_colours(high)[0, 1])
    np.testing.assert_allclose(triangle_colours(low)[0, 1], COLOURS(0.2), atol=0.01)


def test_a_dead_kernel_is_grey_in_row_and_column() -> None:
    entries = matrix(6)
    entries[2] = entries[:, 2] = math.nan
    grey = triangle_colours(entries)
    assert {tuple(grey[0, 2]), tuple(grey[2, 5])} == {to_rgba(NO_DATA)}
    assert tuple(grey[0, 1]) != to_rgba(NO_DATA)


def test_all_that_is_grey_is_explained() -> None:
    entries = matrix(6)
    entries[2] = entries[:, 2] = math.nan
    entries[0, 1] = entries[1, 0] = entries[4, 5] = entries[5, 4] = math.nan
    (note,) = similarity_matrices({"layer": entries}, "Layer 1").axes[0].texts
    assert note.get_text().splitlines()[1:] == ["1 dead (grey)", "2 pairs never seen together (grey)"]


def test_the_mean_is_over_different_living_kernels() -> None:
    entries = np.array([[1.0, 0.2, np.nan], [0.2, 1.0, np.nan], [np.nan] * 3])
    assert mean_similarity(entries) == pytest.approx(0.2)
    assert math.isnan(mean_similarity(np.ones((1, 1))))


@pytest.mark.parametrize("kernels", [1, 2, 64, 512])
def test_labels_stay_readable_at_any_width(kernels: int) -> None:
    figure = similarity_matrices({"before": matrix(kernels), "after": matrix(max(kernels // 2, 1))}, "Layer 1")
    for axes in figure.axes[:2]:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert 1 <= len(ticks) <= 9
        assert all(tick == round(tick) for tick in ticks)


def test_the_colour_bar_runs_from_chance_to_one() -> None:
    bar = similarity_matrices({"only": matrix(4) * 0.1}, "Layer 1").axes[-1]
    assert bar.get_ylim() == (0.5, 1.0)


@pytest.mark.parametrize("panels", [1, 2, 4, 5, 13])
def test_panels_share_one_size_and_do_not_overlap(panels: int) -> None:
    *axes, _ = similarity_matrices({f"layer {n}": matrix(4) for n in range(panels)}, "All layers").axes
    boxes = [axis.get_window_extent() for axis in axes]
    assert len(boxes) == panels
    assert {(round(box.width, 3), round(box.height, 3)) for box in boxes} == {(round(boxes[0].width, 3),) * 2}
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))


def test_words_stand_below_the_panels_and_on_the_paper() -> None:
    figure = similarity_matrices({"layer": matrix(4)}, "Layer 1", "Why these widths were tried. " * 12)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    words, panel = figure.texts[1].get_window_extent(renderer), figure.axes[0].get_tightbbox(renderer)
    assert panel is not None
    assert words.y1 <= panel.y0
    assert 0 <= words.x0 <= words.x1 <= figure.bbox.width
    assert words.y0 >= 0
