from __future__ import annotations

import json

import pytest

from phashopt.search.start import START_KEY, Start, moved

NAMES = ("width_00", "width_01", "width_02")
PARENT = {"width_00": 16, "width_01": 32, "width_02": 8, "epochs": 4}


@pytest.mark.parametrize(
    ("widths", "down", "up"),
    [((16, 32, 8), 0.0, 0.0), ((8, 32, 8), 1.0, 0.0), ((64, 32, 16), 0.0, 3.0), ((4, 16, 16), 3.0, 1.0)],
)
def test_moves_are_doublings_summed_over_layers(widths: tuple[int, ...], down: float, up: float) -> None:
    child = dict(zip(NAMES, widths, strict=True)) | {"epochs": 9}
    assert moved(NAMES, PARENT, child) == pytest.approx((down, up))


@pytest.mark.parametrize("before", [{}, {"learning_rate": 0.03, "optimizer": "sgd", "nesterov": None}])
def test_a_start_survives_the_database(before: dict[str, object]) -> None:
    start = Start(12, 0.5, 2.25, before)
    assert Start.read(json.loads(json.dumps({START_KEY: start.note()}))) == start


def test_one_that_was_noted_without_its_ancestors_parameters_is_read() -> None:
    assert Start.read({START_KEY: [12, 0.5, 2.25]}) == Start(12, 0.5, 2.25)


@pytest.mark.parametrize("attrs", [{}, {START_KEY: None}, {START_KEY: "12:30"}, {START_KEY: ["a", 1.0, 2.0]}])
def test_without_a_note_there_is_none(attrs: dict[str, object]) -> None:
    assert Start.read(attrs) is None


def test_starts_that_are_equal_are_the_same_key() -> None:
    starts = [Start(12, 0.5, 2.25, {"learning_rate": rate}) for rate in (0.03, 0.03, 0.1)]
    assert len(set(starts)) == 2
