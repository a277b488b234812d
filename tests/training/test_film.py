from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from phashopt.networks import build
from phashopt.plans import Blueprint, ResNet
from phashopt.signal import reconstruct
from phashopt.training.data import DataSet
from phashopt.training.film import FILM, KERNELS, PEAK, Camera, Film, to_bytes


@pytest.fixture
def camera(tmp_path: Path, digits: DataSet, plan: Blueprint) -> Camera:
    return Camera(tmp_path, digits.train, plan.readouts)


def test_powers_of_two_and_the_last_epoch_are_filmed_once(tmp_path: Path, camera: Camera, plan: Blueprint) -> None:
    network = build(plan, 0)
    for epoch in [*range(8), 7]:
        camera.shoot(network, epoch, last=epoch == 7)
    film = Film.load(tmp_path)
    assert film.epochs == [0, 1, 2, 4, 7]
    assert {name: len(strip.maps) for name, strip in film.strips.items()} == {"width_00": 5, "width_01": 5}


def test_a_frame_is_the_reconstruction_scaled_to_bytes(
    tmp_path: Path, camera: Camera, plan: Blueprint, digits: DataSet
) -> None:
    network = build(plan, 0)
    camera.shoot(network, 0, last=False)
    film = Film.load(tmp_path)
    image = digits.train.standardise(torch.from_numpy(film.image))[None]
    expected = to_bytes(reconstruct(network, image, "layer1.conv")[0])
    np.testing.assert_array_equal(film.strips["width_01"].maps[0], expected)
    assert film.strips["width_00"].weights is not None
    assert film.strips["width_01"].weights is None


def test_wide_layers_are_filmed_at_evenly_spaced_kernels(tmp_path: Path, digits: DataSet) -> None:
    plan = ResNet(blocks=(1,)).plan([3, 4 * KERNELS], digits.shape, len(digits.classes))
    Camera(tmp_path, digits.train, plan.readouts).shoot(build(plan, 0), 0, last=False)
    strips = Film.load(tmp_path).strips
    assert strips["width_00"].kernels.tolist() == [0, 1, 2]
    assert strips["width_01"].kernels.tolist() == list(range(0, 4 * KERNELS, 4))


def test_a_resumed_training_films_over_what_was_given_up(
    tmp_path: Path, camera: Camera, plan: Blueprint, digits: DataSet
) -> None:
    lost, kept = build(plan, 1), build(plan, 2)
    for epoch, network in ((0, kept), (1, kept), (2, lost), (4, lost)):
        camera.shoot(network, epoch, last=False)
    again = Camera(tmp_path, digits.train, plan.readouts)
    again.rewind(1)
    again.shoot(kept, 2, last=True)
    film = Film.load(tmp_path)
    assert film.epochs == [0, 1, 2]
    np.testing.assert_array_equal(film.strips["width_00"].maps[1], film.strips["width_00"].maps[2])


@pytest.mark.parametrize("damaged", [True, False])
def test_where_there_is_no_film_to_go_on_with_a_new_one_begins(
    tmp_path: Path, camera: Camera, plan: Blueprint, damaged: bool
) -> None:
    if damaged:
        (tmp_path / FILM).write_bytes(b"nothing of the kind")
    camera.rewind(3)
    camera.shoot(build(plan, 1), 4, last=True)
    assert Film.load(tmp_path).epochs == [4]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([[2.0, -4.0]], [[round(PEAK / 2), -PEAK]]), ([[0.0, 0.0]], [[0, 0]]), ([[float("nan"), 1.0]], [[0, PEAK]])],
)
def test_bytes_keep_sign_and_share_of_the_peak(values: list[list[float]], expected: list[list[int]]) -> None:
    assert np.abs(to_bytes(torch.tensor(values)) - np.array(expected)).max() <= 1
