"""Figures as bytes: the same figure gives the same bytes, so that two reports can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

DPI = 144


def png_bytes(figure: Figure, dpi: int = DPI) -> bytes:
    """PNG, by default at 144 dots an inch: sharp on a dense screen at its size in points."""
    return _bytes(figure, format="png", dpi=dpi, metadata={"Software": None})


def webp_bytes(png: bytes) -> bytes:
    """The same pixels as `png` in lossless WebP, which takes about a third of the bytes: for embedding in a page."""
    buffer = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def svg_bytes(figure: Figure) -> bytes:
    """SVG with text as text, so that it can be searched and restyled."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "phashopt"}):
        return _bytes(figure, format="svg", metadata={"Date": None, "Creator": None})


def _bytes(figure: Figure, **options: Any) -> bytes:
    for text in _texts(figure):
        text.set_parse_math(False)  # a dollar in a user's name is no formula
    buffer = BytesIO()
    figure.savefig(buffer, **options)
    return buffer.getvalue()


def _texts(figure: Figure) -> Iterator[Text]:
    """All but the ticks' labels, which are numbers, and which it takes long to find."""
    artists: list[Artist] = list(figure.texts)
    for legend in figure.legends:
        artists += legend.get_texts()
    for axes in figure.axes:
        artists += [*axes.get_children(), axes.xaxis.label, axes.yaxis.label]
    yield from (artist for artist in artists if isinstance(artist, Text))
