from __future__ import annotations

import numpy as np
import pytest

from phashopt.report.exhibit import Exhibit
from phashopt.report.views import SEVENTH, LayerView, followed
from phashopt.service.summary import StudySummary
from phashopt.training.snapshot import LayerSnapshot, Snapshot

LIKE = "mean similarity 0.50, at most 0.50 (kernels 0 and 1)."


def layer(groups: list[int]) -> LayerSnapshot:
    kernels = len(groups)
    similarity = np.full((kernels, kernels), 0.5, dtype=np.float32)
    return LayerSnapshot(similarity, np.array(groups, dtype=np.int32), np.zeros((kernels, 1, 2, 2), dtype=np.float16))


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([0, 0, 1, 2], f"Best: 4 kernels, 3 distinct, redundancy 0.25, {LIKE}"),
        ([0, -1, 0], f"Best: 3 kernels, 1 dead, 1 distinct, redundancy 0.50, {LIKE}"),
        ([7], "Best: 1 kernel, 1 distinct, redundancy 0.00."),
        ([-1, -1], "Best: all 2 kernels are dead."),
    ],
)
def test_a_reading_in_words(groups: list[int], sentence: str, summary: StudySummary) -> None:
    snapshot = Snapshot(np.zeros((1, 2, 2), dtype=np.uint8), {"width_00": layer(groups)})
    view = LayerView("width_00", Exhibit("best", summary.trials[0], snapshot=snapshot), snapshot, None)
    assert view.words == sentence


def test_the_pair_most_alike_is_named(summary: StudySummary) -> None:
    snapshot = Snapshot(np.zeros((1, 2, 2), dtype=np.uint8), {"width_00": layer([0, 1, 2, 3])})
    snapshot.layers["width_00"].similarity[1, 3] = 0.75
    view = LayerView("width_00", Exhibit("best", summary.trials[0], snapshot=snapshot), snapshot, None)
    assert "at most 0.75 (kernels 1 and 3)" in view.words


@pytest.mark.parametrize(
    ("groups", "kernels"),
    [(range(20), [SEVENTH, 0, 10]), ([-1] * 6 + [-1, 0, 1], [7, 8]), ([-1, -1], []), ([0], [0])],
)
def test_the_papers_seventh_kernel_or_the_nearest_living_one_is_followed(groups: list[int], kernels: list[int]) -> None:
    assert followed(np.array(groups)) == kernels


def test_without_images_or_film_there_is_nothing_across_and_no_strip(summary: StudySummary) -> None:
    snapshot = Snapshot(np.zeros((1, 2, 2), dtype=np.uint8), {"width_00": layer([0, 1])})
    view = LayerView("width_00", Exhibit("best", summary.trials[0], snapshot=snapshot), snapshot, None)
    assert view.across() is None
    assert view.strip() is None
    assert len(list(view.sheets())) == 1
