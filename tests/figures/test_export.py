from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from phashopt.figures.export import png_bytes, svg_bytes, webp_bytes
from phashopt.figures.network import drawn_network


@pytest.fixture
def figure() -> Figure:
    return drawn_network(["Layer 1 <&>"], {"best": [24]}, [""])


@pytest.mark.parametrize("export", [png_bytes, svg_bytes])
def test_the_same_figure_gives_the_same_bytes(export: object) -> None:
    first, second = (export(drawn_network(["Layer 1"], {"best": [24]}, [""])) for _ in range(2))  # type: ignore[operator]
    assert first == second


def test_webp_keeps_every_pixel(figure: Figure) -> None:
    png = png_bytes(figure)
    pixels = [np.asarray(Image.open(BytesIO(content)).convert("RGB")) for content in (png, webp_bytes(png))]
    np.testing.assert_array_equal(*pixels)


def test_svg_text_is_text_and_escaped(figure: Figure) -> None:
    svg = svg_bytes(figure).decode()
    assert "Layer 1 &lt;&amp;&gt;" in svg
    assert "Kernels per layer" in svg


@pytest.mark.parametrize("export", [png_bytes, svg_bytes])
def test_a_dollar_in_a_name_is_no_formula(export: Callable[[Figure], bytes]) -> None:
    assert export(drawn_network(["$\\frac{$"], {"best": [24]}, [""]))
