from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phashopt.report.pictures import EMBEDDED_SHEETS, Gallery, reading
from phashopt.service.summary import StudySummary
from phashopt.training.snapshot import LayerSnapshot, Snapshot

Make = Callable[..., Snapshot]


def layer(groups: list[int]) -> LayerSnapshot:
    kernels = len(groups)
    similarity = np.full((kernels, kernels), 0.5, dtype=np.float32)
    return LayerSnapshot(similarity, np.array(groups, dtype=np.int32), np.zeros((kernels, 1, 2, 2), dtype=np.float16))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([0, 0, 1, 2], "Best: 4 kernels, 3 distinct, redundancy 0.25, mean similarity 0.50."),
        ([0, -1, 0], "Best: 3 kernels, 1 dead, 1 distinct, redundancy 0.50, mean similarity 0.50."),
        ([7], "Best: 1 kernel, 1 distinct, redundancy 0.00."),
        ([-1, -1], "Best: all 2 kernels are dead."),
    ],
)
def test_a_reading_in_words(groups: list[int], sentence: str) -> None:
    assert reading("best", layer(groups)) == sentence


def test_every_picture_is_a_png_and_an_svg(tmp_path: Path, summary: StudySummary, make_snapshot: Make) -> None:
    gallery = Gallery(tmp_path)
    gallery.widths(summary)
    list(gallery.layers({"baseline": make_snapshot([8, 70]), "best": make_snapshot([6, 5])}))
    names = {path.stem for path in tmp_path.glob("*.png")}
    assert names == {path.stem for path in tmp_path.glob("*.svg")}
    assert names == {
        "widths",
        *(f"layer-0{index}-similarity" for index in (1, 2)),
        *(f"layer-0{index}-maps-{role}-1" for index in (1, 2) for role in ("baseline", "best")),
        "layer-02-maps-baseline-2",
    }


def test_the_page_carries_the_first_sheets_and_names_the_others(tmp_path: Path, make_snapshot: Make) -> None:
    (pictures,) = Gallery(tmp_path).layers({"best": make_snapshot([64 * EMBEDDED_SHEETS + 1], side=4)})
    assert len(pictures.sheets) == EMBEDDED_SHEETS
    assert pictures.elsewhere == ["layer-01-maps-best-3.png"]
    assert (tmp_path / pictures.elsewhere[0]).exists()


def test_an_embedded_picture_is_its_file_pixel_by_pixel(tmp_path: Path, summary: StudySummary) -> None:
    picture = Gallery(tmp_path).widths(summary)
    assert picture is not None
    embedded = Image.open(BytesIO(base64.b64decode(picture.uri.partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(embedded), np.asarray(Image.open(tmp_path / "widths.png").convert("RGB")))
    assert embedded.width / picture.width == pytest.approx(embedded.height / picture.height, rel=0.01)


def test_a_layer_that_only_one_network_has_is_shown_alone(tmp_path: Path, make_snapshot: Make) -> None:
    first, second = Gallery(tmp_path).layers({"baseline": make_snapshot([4, 4]), "best": make_snapshot([4])})
    assert len(first.readings) == 2
    assert len(second.readings) == 1
