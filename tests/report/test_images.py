from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phashopt.errors import UserError
from phashopt.plans import ImageShape
from phashopt.report.images import SHOWN, choose, of_classes, of_files
from phashopt.training.data import DataSet, Standardisation


def test_classes_come_as_asked_from_images_not_trained_on(digits: DataSet) -> None:
    probes = of_classes(digits, ["7", "3"])
    assert probes.labels == ["7", "3"]
    validation = digits.validation
    for pixels, label in zip(probes.pixels, (7, 3), strict=True):
        assert (validation.pixels[validation.labels == label][0].numpy() == pixels).all()


def test_by_default_six_classes_evenly_spaced(digits: DataSet) -> None:
    assert of_classes(digits).labels == ["0", "1", "3", "5", "6", "8"]
    assert len(of_classes(digits)) == SHOWN


def test_an_unknown_class_names_the_nearest(digits: DataSet) -> None:
    with pytest.raises(UserError, match="no class '77'; did you mean '7'"):
        of_classes(digits, ["77"])


@pytest.mark.parametrize("shape", [ImageShape(1, 8, 8), ImageShape(3, 8, 6)])
def test_files_become_what_the_network_wants(tmp_path: Path, shape: ImageShape) -> None:
    Image.fromarray(np.full((30, 40, 3), 128, dtype=np.uint8)).save(tmp_path / "grey.png")
    feed = Standardisation((0.5,) * shape.channels, (0.5,) * shape.channels)
    probes = of_files([tmp_path / "grey.png"], shape, feed)
    assert probes.pixels.shape == (1, *shape)
    assert probes.labels == ["grey"]
    assert (probes.pixels == 128).all()


def test_nothing_at_hand_is_no_image_but_files_need_a_network() -> None:
    assert choose(None, [], [], []) is None
    with pytest.raises(UserError, match="neither baseline nor best has left a network"):
        choose(None, [], [], [Path("dog.png")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no image"):
        of_files([tmp_path / "none.png"], ImageShape(1, 8, 8), Standardisation((0.5,), (0.5,)))
