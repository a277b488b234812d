from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from phashopt.errors import UserError
from phashopt.inspection import Inspection, Subject, draw, inspect_network, worth_drawing
from phashopt.inspection.gallery import representatives
from phashopt.training.data import RawData


@pytest.fixture
def inspection(small: nn.Module, raw: RawData) -> Inspection:
    with torch.no_grad():
        small.second.weight[1] = small.second.weight[0]
        small.second.bias[1] = small.second.bias[0]
        small.second.bias[3] = -1e9
    return inspect_network(Subject("small", small, is_trained=True), raw, probes=8)


def test_every_picture_of_the_paper_is_a_file(inspection: Inspection, tmp_path: Path) -> None:
    drawn = list(draw(inspection, tmp_path / "out", inspection.layers))
    assert {one.path for one in drawn} == set((tmp_path / "out").iterdir())
    assert {one.path.name for one in drawn} == {
        "similarity.png",
        "grad-cam.png",
        "guided-grad-cam.png",
        *(f"layer-{name}-{what}.png" for name in ("01-first", "02-second") for what in ("maps-1", "across-images")),
    }
    for one in drawn:
        with Image.open(one.path) as picture:
            assert min(picture.size) > 100


def test_the_same_inspection_gives_the_same_bytes(inspection: Inspection, tmp_path: Path) -> None:
    first, second = (
        [one.path.read_bytes() for one in draw(inspection, tmp_path / name, inspection.layers)] for name in "ab"
    )
    assert first == second


def test_a_folder_that_cannot_be_written_is_one_line(inspection: Inspection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --out"):
        list(draw(inspection, tmp_path / "file", inspection.layers))


def test_representatives_are_alive_strong_and_unlike(inspection: Inspection) -> None:
    report = inspection.layers[1].report
    chosen = representatives(report, 20)
    assert 3 not in chosen
    assert len({0, 1} & set(chosen)) == 1
    assert len(set(report.groups[chosen])) == len(chosen) == report.distinct
    assert list(report.energy[chosen]) == sorted(report.energy[chosen], reverse=True)
    assert representatives(report, 2) == chosen[:2]


def test_of_many_layers_the_ends_and_the_most_redundant_are_drawn(raw: RawData) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3 if index == 0 else 5, 5, 3, padding=1) for index in range(8)]
    with torch.no_grad():
        layers[4].weight[:] = layers[4].weight[:1]
        layers[4].bias.fill_(1.0)
    network = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
    inspection = inspect_network(Subject("deep", network, is_trained=True), raw, probes=8)
    rho = np.array([layer.report.redundancy for layer in inspection.layers])
    assert rho[4] == rho[1:-1].max() > 0.5
    assert [layer.name for layer in worth_drawing(inspection.layers)] == ["0", "8", "14"]
    assert worth_drawing(inspection.layers[:6]) == inspection.layers[:6]
