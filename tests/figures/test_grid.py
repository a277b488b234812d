from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from phashopt.figures.grid import Row, picture_grid


def grid(
    rows: int, columns: int, shape: tuple[int, int] = (6, 9), label: str = "a", caption: str = "word " * 90
) -> Figure:
    picture = np.full((*shape, 3), 0.5)
    heads = [f"head {column}" for column in range(columns)]
    title = "Layer 12 (width_11), baseline: the same kernels through many images"
    return picture_grid(title, heads, [Row(label, [picture] * columns)] * rows, caption, colormaps["viridis"])


def boxes(figure: Figure) -> list[np.ndarray]:
    return [np.array(image.get_extent()) for image in figure.axes[0].images]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 4), (9, 6)])
@pytest.mark.parametrize("shape", [(8, 8), (6, 9), (12, 5)])
def test_cells_are_alike_and_keep_the_pictures_shape(rows: int, columns: int, shape: tuple[int, int]) -> None:
    sizes = np.array([(right - left, low - top) for left, right, low, top in boxes(grid(rows, columns, shape))])
    assert len(sizes) == rows * columns
    np.testing.assert_allclose(sizes, sizes[:1].repeat(len(sizes), 0))
    np.testing.assert_allclose(sizes[0, 1] / sizes[0, 0], shape[0] / shape[1])


@pytest.mark.parametrize("columns", [1, 3, 8])
@pytest.mark.parametrize("shape", [(8, 8), (4, 20)])
def test_nothing_overlaps_or_leaves_the_paper(columns: int, shape: tuple[int, int]) -> None:
    figure = grid(3, columns, shape, label="a rather long class name\nsaid: another of that kind")
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    width, height = figure.bbox.size
    texts = [text for text in (*figure.texts, *figure.axes[0].texts) if text.get_text()]
    extents = [text.get_window_extent(renderer) for text in texts]
    assert all(box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height for box in extents)
    assert not any(one.overlaps(other) for index, one in enumerate(extents) for other in extents[:index])
    pictures = [image.get_window_extent(renderer) for image in figure.axes[0].images]
    assert not any(box.shrunk(0.98, 0.98).overlaps(picture) for box in extents for picture in pictures)
