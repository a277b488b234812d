from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from phashopt.report.gallery import Gallery


@pytest.fixture
def figure() -> Figure:
    figure = Figure(figsize=(3, 2))
    figure.add_subplot().plot([1, 2, 4])
    return figure


def test_an_embedded_picture_is_its_file_pixel_by_pixel(tmp_path: Path, figure: Figure) -> None:
    picture = Gallery(tmp_path).keep(figure, "plot", "a plot")
    embedded = Image.open(BytesIO(base64.b64decode(picture.uri.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(embedded), np.asarray(Image.open(tmp_path / "plot.png").convert("RGB")))
    assert (picture.width, picture.height) == (288, 192)
    assert (tmp_path / "plot.svg").exists()


def test_extra_pictures_leave_half_of_the_room_to_others(tmp_path: Path, figure: Figure) -> None:
    size = len(base64.b64decode(Gallery(tmp_path).keep(figure, "plot", "a plot").uri.partition(",")[2]))
    gallery = Gallery(tmp_path, room=2 * size)
    kept = [bool(gallery.keep(figure, "plot", "", extra=extra).uri) for extra in (True, True, False, False)]
    assert kept == [True, False, True, False]
