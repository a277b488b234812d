from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from phashopt.figures.reverse import MOST, Step, Window, reverse_diagram

WINDOW = Window(
    np.arange(16.0).reshape(4, 4), np.ones((2, 2)), np.full((2, 2), 7.25), np.zeros((4, 4)), np.eye(4) > 0, "here"
)


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_step_stands_beside_its_reverse() -> None:
    figure = reverse_diagram("1x8x8", [Step("up", "back", "4x8x8"), Step("pool", "unpool", "", pools=True)], None)
    assert {"image, 1x8x8", "reconstruction, 1x8x8", "up", "back", "pool", "unpool", "4x8x8"} <= set(words(figure))
    assert words(figure).count("switches") == 1


@pytest.mark.parametrize("steps", [MOST, MOST + 1, 200])
def test_the_middle_of_long_networks_is_counted_not_drawn(steps: int) -> None:
    shown = words(reverse_diagram("", [Step(f"step {index}", "back", "") for index in range(steps)], None))
    drawn = sum(text.startswith("step ") for text in shown)
    left_out = sum(int(text.split()[1]) for text in shown if text.endswith("more steps"))
    assert drawn + left_out == steps
    assert drawn <= MOST


def test_a_window_shows_its_numbers_on_the_paper() -> None:
    figure = reverse_diagram("", [Step("up", "back", "")], WINDOW)
    assert words(figure).count("7.25") == 4
    height = figure.get_size_inches()[1]
    assert all(patch.get_y() >= 0 for patch in figure.axes[0].patches if hasattr(patch, "get_y"))
    assert all(0 <= text.get_position()[1] <= height for text in figure.axes[0].texts)
