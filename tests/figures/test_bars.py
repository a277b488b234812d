from __future__ import annotations

from itertools import pairwise

import pytest

from phashopt.figures import widths_bars


@pytest.mark.parametrize("roles", [{"baseline": [32, 64]}, {"baseline": [32, 64], "best": [24, 40]}])
def test_every_bar_is_as_long_as_its_layer_is_wide(roles: dict[str, list[int]]) -> None:
    axes = widths_bars(["Layer 1", "Layer 2"], roles).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [kernels for widths in roles.values() for kernels in widths]
    assert [text.get_text() for text in axes.texts] == [str(bar.get_width()) for bar in axes.patches]


def test_the_first_layer_is_on_top_and_no_bars_overlap() -> None:
    axes = widths_bars(["Layer 1", "Layer 2"], {"baseline": [3, 4], "best": [5, 6]}).axes[0]
    assert axes.yaxis_inverted()
    bars = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches)
    assert all(lower[1] < upper[0] for lower, upper in pairwise(bars))
