from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from phashopt.report.exhibit import Exhibit
from phashopt.report.gallery import Gallery
from phashopt.report.pictures import DRAWN, Showroom, worth_drawing
from phashopt.report.views import LayerView
from phashopt.service.summary import StudySummary
from phashopt.training.snapshot import Snapshot

Make = Callable[..., Snapshot]


@pytest.fixture
def show(tmp_path: Path, summary: StudySummary) -> Callable[..., Showroom]:
    """A showroom of snapshots by role."""

    def showroom(room: int = 1 << 20, **snapshots: Snapshot) -> Showroom:
        exhibits = [Exhibit(role, summary.trials[0], snapshot=snapshot) for role, snapshot in snapshots.items()]
        return Showroom(Gallery(tmp_path, room), exhibits, None)

    return showroom


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
