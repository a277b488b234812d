from __future__ import annotations

import pytest
from matplotlib.patches import Rectangle

from phashopt.figures.network import ACROSS, TALLEST, drawn_network


def bars(roles: dict[str, list[int]]) -> list[Rectangle]:
    layers = len(next(iter(roles.values())))
    figure = drawn_network([f"Layer {index}" for index in range(layers)], roles, [""] * layers)
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]


@pytest.mark.parametrize("roles", [{"best": [32, 64]}, {"baseline": [32, 64], "best": [24, 40]}])
def test_bars_are_as_high_as_layers_are_wide(roles: dict[str, list[int]]) -> None:
    widths = [kernels[index] for index in range(2) for kernels in roles.values()]
    assert [bar.get_height() for bar in bars(roles)] == pytest.approx([TALLEST * width / 64 for width in widths])


def test_bars_of_one_layer_stand_side_by_side_and_layers_in_order() -> None:
    lefts = [bar.get_x() for bar in bars({"baseline": [3, 4, 5], "best": [5, 6, 7]})]
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == 6


def test_long_networks_go_on_in_even_rows() -> None:
    middles = [round(bar.get_y() + bar.get_height() / 2, 6) for bar in bars({"best": [8] * (ACROSS + 2)})]
    assert [middles.count(middle) for middle in dict.fromkeys(middles)] == [ACROSS // 2 + 1] * 2
