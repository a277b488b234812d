"""Figures kept: drawn once into a folder as PNG and SVG, and handed back as parts of the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from phashopt.figures.export import png_bytes, svg_bytes, webp_bytes

ROOM = 8 << 20  # bytes of pictures that the page carries in all, before base64


@dataclass(frozen=True)
class Picture:
    """A figure as the page shows it: its file's name, size in CSS pixels and content in words, and its data.

    `uri` is empty where the page has no room for it: then it links to the file.
    """

    name: str
    uri: str
    width: int
    height: int
    alt: str


class Gallery:
    """Draws each figure once into `folder` and hands it back, as long as there is `room` in the page."""

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        self._folder = folder
        self._room = room
        self._reserve = room // 2
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, figure: Figure, name: str, alt: str, *, extra: bool = False) -> Picture:
        """Write `name`.png and `name`.svg; the page carries it if there is room, `extra` ones up to half of that."""
        png = self.file(figure, name)
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        content = webp_bytes(png)
        fits = len(content) <= self._room - self._reserve * extra
        self._room -= len(content) * fits
        uri = f"data:image/webp;base64,{base64.b64encode(content).decode()}" if fits else ""
        return Picture(name, uri, width, height, alt)

    def file(self, figure: Figure, name: str) -> bytes:
        """Write `name`.png and `name`.svg only; returns the PNG."""
        png = png_bytes(figure)
        (self._folder / f"{name}.png").write_bytes(png)
        (self._folder / f"{name}.svg").write_bytes(svg_bytes(figure))
        return png
