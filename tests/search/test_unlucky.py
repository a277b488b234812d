from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from phashopt.search.record import Record
from phashopt.search.unlucky import unlucky
from phashopt.trace import Epoch, Reading, Trace

WIDTHS = [(8, 8, 16), (16, 8, 32), (8, 32, 64), (32, 16, 8), (64, 8, 16), (16, 16, 32), (8, 8, 64), (32, 8, 8)]
MakeTrace = Callable[..., Trace]
MakeRecord = Callable[..., Record]


def _read(make_trace: MakeTrace, dead: float, accuracy: float = 0.5) -> Trace:
    shares = {f"width_{index:02d}": (0.1, 0.2, dead) for index in range(3)}
    return make_trace([accuracy], readings=shares)


@pytest.fixture
def peers(make_record: MakeRecord) -> list[Record]:
    """Each twice, with dead maps that follow from its last width."""
    return [
        make_record(number, widths, (0.1,) * 3, accuracies=(0.5,), dead=0.05 + widths[2] / 160)
        for number, widths in enumerate(WIDTHS * 2)
    ]


def _params(*widths: int) -> dict[str, float]:
    return {f"width_{index:02d}": width for index, width in enumerate(widths)} | {"learning_rate": 0.1}


@pytest.mark.parametrize(
    ("last", "reading", "is_unlucky"),
    [(8, (0.45, 0.5), True), (64, (0.45, 0.5), False), (8, (0.45, 0.6), False), (8, (0.15, 0.5), False)],
    ids=["far above", "as its width has it", "more accurate than others", "a little above"],
)
def test_bad_luck_is_what_widths_do_not_explain(
    last: int, reading: tuple[float, float], is_unlucky: bool, peers: list[Record], make_trace: MakeTrace
) -> None:
    assert unlucky(_params(16, 8, last), _read(make_trace, *reading), peers) == is_unlucky


def test_the_last_layers_are_counted_as_people_count(make_record: MakeRecord) -> None:
    names = [f"conv{index}" for index in range(1, 13)]

    def trace(dead: float) -> Trace:
        readings = {name: Reading(0.1, 0.2, dead * (name in names[-2:])) for name in names}
        return Trace([Epoch(1, accuracy=0.5, readings=readings)])

    params = dict.fromkeys(names, 16)
    alike = [replace(make_record(n, (), ()), params=params, trace=trace(0.02)) for n in range(12)]
    assert unlucky(params, trace(0.8), alike)


def test_few_peers_prove_nothing(peers: list[Record], make_trace: MakeTrace) -> None:
    assert not unlucky(_params(16, 8, 8), _read(make_trace, 0.9), peers[:7])


def test_peers_are_those_read_at_the_same_epoch(peers: list[Record], make_trace: MakeTrace) -> None:
    later = make_trace([0.3, 0.5], readings={f"width_{index:02d}": (0.1, 0.2, 0.9) for index in range(3)})
    assert not unlucky(_params(16, 8, 8), later, peers)


def test_nothing_is_said_of_a_network_that_was_not_read(peers: list[Record], make_trace: MakeTrace) -> None:
    assert not unlucky(_params(16, 8, 8), make_trace([0.1]), peers)


def test_the_last_layers_are_those_of_the_network(make_record: MakeRecord) -> None:
    names = ["stem", "middle", "head"]

    def trace(dead: str | None) -> Trace:
        readings = {name: Reading(0.1, 0.2, 0.5 * (name == dead)) for name in names}
        return Trace([Epoch(1, loss=1.0, accuracy=0.5, readings=readings)])

    params = dict.fromkeys(names, 8)
    others = [replace(make_record(number, (8,), (0.1,)), params=params, trace=trace(None)) for number in range(9)]
    assert [unlucky(params, trace(name), others) for name in names] == [False, True, True]
