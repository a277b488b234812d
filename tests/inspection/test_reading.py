from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor, nn

from phashopt import baseline, measure
from phashopt.errors import UserError
from phashopt.inspection import Subject, inspect_network
from phashopt.training.data import RawData

from .conftest import Small


def test_the_numbers_are_the_signals(small: nn.Module, raw: RawData) -> None:
    inspection = inspect_network(Subject("small", small, is_trained=True), raw, probes=8)
    expected = measure(small, inspection.probes.images, std=inspection.probes.standardisation.std)
    assert [layer.name for layer in inspection.layers] == list(expected) == ["first", "second"]
    for layer in inspection.layers:
        assert layer.report.redundancy == expected[layer.name].redundancy
        assert layer.report.interval == expected[layer.name].interval
    head = 10 * 4
    assert sum(layer.share or 0 for layer in inspection.layers) == pytest.approx(1 - head / inspection.macs)
    assert inspection.params == sum(p.numel() for p in small.parameters())


def test_the_document_is_plain_json(small: nn.Module, raw: RawData) -> None:
    with torch.no_grad():
        small.second.bias.fill_(-1e9)
    document = inspect_network(Subject("small", small, is_trained=True), raw, probes=8).to_json()
    json.dumps(document, allow_nan=False)
    first, second = document["layers"]
    assert set(first) >= {"layer", "channels", "alive", "dead", "distinct", "redundancy", "interval", "duplicates"}
    assert second["redundancy"] is None
    assert second["alive"] == 0
    assert math.isfinite(first["redundancy"])


def test_groups_are_named_as_their_boxes_are(small: nn.Module, raw: RawData) -> None:
    with torch.no_grad():
        for kernel, twin in ((4, 1), (8, 1), (5, 2)):
            small.second.weight[kernel], small.second.bias[kernel] = small.second.weight[twin], small.second.bias[twin]
        small.second.bias[3] = -1e9
    layer = inspect_network(Subject("small", small, is_trained=True), raw, probes=8).to_json()["layers"][1]
    assert layer["groups"] == {"A": [1, 4, 8], "B": [2, 5]}
    assert layer["dead_kernels"] == [3]


def test_layers_that_could_not_be_read_are_named(raw: RawData) -> None:
    class Cut(Small):
        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.second(self.first(images).detach()).mean((2, 3)))

    inspection = inspect_network(Subject("cut", Cut(), is_trained=False), raw, probes=3)
    assert [layer.name for layer in inspection.layers] == ["first"]
    assert any("second" in note for note in inspection.notes)


def test_random_weights_are_said_to_be_random(small: nn.Module, raw: RawData) -> None:
    inspection = inspect_network(Subject("small", small, is_trained=False), raw, probes=8)
    assert all("random weights" in layer.suggestion for layer in inspection.layers)
    assert "random" in inspection.notes[0]


def test_beside_a_trained_network_stands_what_random_weights_make_alike(raw: RawData) -> None:
    torch.manual_seed(1)
    small = Small()
    inspection = inspect_network(Subject("small", small, is_trained=True), raw, probes=8)
    expected = baseline(small, inspection.probes.images, std=inspection.probes.standardisation.std)
    for layer in inspection.layers:
        assert layer.random_similarity == expected[layer.name].mean_similarity != layer.report.mean_similarity
    untrained = inspect_network(Subject("small", small, is_trained=False), raw, probes=8)
    assert all(math.isnan(layer.random_similarity) for layer in untrained.layers)


def test_classes_are_named_only_if_they_are_the_datas(raw: RawData) -> None:
    for classes, names in ((4, {"ape", "bee", "cat", "dog"}), (7, {f"class {index}" for index in range(7)})):
        torch.manual_seed(0)
        explanation = inspect_network(Subject("s", Small(3, classes), is_trained=True), raw, probes=8).explanation
        assert explanation is not None
        assert {one.label.split("said: ")[1] for one in explanation.images} <= names


def test_what_is_no_classifier_is_read_all_the_same(raw: RawData) -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3))
    inspection = inspect_network(Subject("encoder", encoder, is_trained=True), raw, probes=8)
    assert inspection.explanation is None
    assert "only classifiers" in inspection.notes[-1]
    assert len(inspection.layers) == 2


def test_only_the_layers_asked_for_are_read(small: nn.Module, raw: RawData) -> None:
    inspection = inspect_network(Subject("small", small, is_trained=True), raw, probes=8, layers=["second"])
    assert [layer.name for layer in inspection.layers] == ["second"]


class Nan(Small):
    def __init__(self) -> None:
        super().__init__()
        self.head.weight.data[0, 0] = math.nan


class Fails(Small):
    def forward(self, images: Tensor) -> Tensor:
        raise IndexError("out of\nrange")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Nan, "head.weight holds NaN or Inf"),
        (Fails, "Fails cannot take 3x12x12 images"),
        (lambda: Small(5), "takes 5 channels, the images have 3"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 4)), "no nn.Conv2d"),
    ],
)
def test_a_network_that_cannot_be_read_is_one_line(network, message: str, raw: RawData) -> None:
    with pytest.raises(UserError) as caught:
        inspect_network(Subject("x", network(), is_trained=True), raw, probes=8)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
