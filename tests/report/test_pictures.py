from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from phashopt.report.exhibit import Exhibit, gather
from phashopt.report.gallery import Gallery
from phashopt.report.images import of_classes
from phashopt.report.pictures import DRAWN, Showroom, worth_drawing
from phashopt.report.views import SEVENTH, LayerView, followed, maps_of
from phashopt.service.summary import StudySummary
from phashopt.signal import reconstruct
from phashopt.training.snapshot import LayerSnapshot, Snapshot

from .conftest import Real

Make = Callable[..., Snapshot]


def layer(groups: list[int]) -> LayerSnapshot:
    kernels = len(groups)
    similarity = np.full((kernels, kernels), 0.5, dtype=np.float32)
    return LayerSnapshot(similarity, np.array(groups, dtype=np.int32), np.zeros((kernels, 1, 2, 2), dtype=np.float16))


@pytest.fixture
def show(tmp_path: Path, summary: StudySummary) -> Callable[..., Showroom]:
    """A showroom of snapshots by role."""

    def showroom(room: int = 1 << 20, **snapshots: Snapshot) -> Showroom:
        exhibits = [Exhibit(role, summary.trials[0], snapshot=snapshot) for role, snapshot in snapshots.items()]
        return Showroom(Gallery(tmp_path, room), exhibits, None)

    return showroom


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([0, 0, 1, 2], "Best: 4 kernels, 3 distinct, redundancy 0.25, mean similarity 0.50."),
        ([0, -1, 0], "Best: 3 kernels, 1 dead, 1 distinct, redundancy 0.50, mean similarity 0.50."),
        ([7], "Best: 1 kernel, 1 distinct, redundancy 0.00."),
        ([-1, -1], "Best: all 2 kernels are dead."),
    ],
)
def test_a_reading_in_words(groups: list[int], sentence: str, summary: StudySummary) -> None:
    snapshot = Snapshot(np.zeros((1, 2, 2), dtype=np.uint8), {"width_00": layer(groups)})
    view = LayerView("width_00", Exhibit("best", summary.trials[0], snapshot=snapshot), snapshot, None)
    assert view.words == sentence


def test_without_a_network_the_kept_maps_are_shown(
    tmp_path: Path, show: Callable[..., Showroom], make_snapshot: Make
) -> None:
    list(show(baseline=make_snapshot([8, 70]), best=make_snapshot([6, 5])).layers())
    names = {path.stem for path in tmp_path.glob("*.png")}
    assert names == {path.stem for path in tmp_path.glob("*.svg")}
    assert names == {
        *(f"layer-0{index}-similarity" for index in (1, 2)),
        *(f"layer-0{index}-maps-{role}-1" for index in (1, 2) for role in ("baseline", "best")),
        "layer-02-maps-baseline-2",
    }


def test_big_layers_are_paged_and_what_finds_no_room_is_a_file(
    tmp_path: Path, show: Callable[..., Showroom], make_snapshot: Make
) -> None:
    (wide,) = show(best=make_snapshot([64 * 2 + 1], side=4)).layers()
    assert len(wide.scenes[0][0].shown) == 3
    (narrow,) = show(room=0, best=make_snapshot([65], side=4)).layers()
    assert [picture.name for picture in narrow.scenes[0][0].elsewhere] == [
        "layer-01-maps-best-1",
        "layer-01-maps-best-2",
    ]
    assert (tmp_path / "layer-01-maps-best-2.svg").exists()


def test_a_layer_that_only_one_network_has_is_shown_alone(show: Callable[..., Showroom], make_snapshot: Make) -> None:
    first, second = show(baseline=make_snapshot([4, 4]), best=make_snapshot([4])).layers()
    assert len(first.readings) == 2
    assert len(second.readings) == 1


def test_of_many_layers_the_ends_and_the_likest_are_drawn(make_snapshot: Make, summary: StudySummary) -> None:
    names = [f"width_{index:02d}" for index in range(2 * DRAWN)]
    snapshot = make_snapshot([3] * len(names), dead=0)
    snapshot.layers["width_09"].similarity[:] = 0.99
    exhibit = Exhibit("best", summary.trials[0], snapshot=snapshot)
    chosen = worth_drawing({name: [LayerView(name, exhibit, snapshot, None)] for name in names}, 3)
    assert chosen == {names[0], "width_09", names[-1]}


@pytest.mark.parametrize(
    ("groups", "kernels"),
    [(range(20), [SEVENTH, 0, 10]), ([-1] * 6 + [-1, 0, 1], [7, 8]), ([-1, -1], []), ([0], [0])],
)
def test_the_papers_seventh_kernel_or_the_nearest_living_one_is_followed(groups: list[int], kernels: list[int]) -> None:
    assert followed(np.array(groups)) == kernels


def test_maps_are_made_from_the_weights(real: Real) -> None:
    exhibit = gather(real.summary, real.root)[-1]
    probes = of_classes(real.data, ["3"])
    assert exhibit.subject is not None
    network = exhibit.subject.network
    expected = reconstruct(network, probes.images, "layer1.conv")[0].numpy()
    np.testing.assert_allclose(maps_of(network, "layer1.conv", probes.images, len(expected)), expected, atol=1e-6)
