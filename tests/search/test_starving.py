from __future__ import annotations

from collections.abc import Callable

import pytest

from phashopt.search.curve import best_so_far
from phashopt.search.starving import starved
from phashopt.trace import Reading, Trace

PEERS = [{epoch: 0.4 * epoch + 0.02 * shift for epoch in range(1, 9)} for shift in range(6)]
FAST = [0.4, 0.6, 0.75, 0.85]
MakeTrace = Callable[..., Trace]


def _starved(trace: Trace, least_peers: int = 5) -> bool:
    return starved(trace, best_so_far(trace), PEERS, least_peers)


@pytest.mark.parametrize(
    ("accuracies", "rates", "is_starved"),
    [
        (FAST, [0.1] * 4, True),
        (FAST, [0.1] * 3 + [0.05], False),
        ([0.5, 0.85, 0.85, 0.85], [0.1] * 4, False),
        ([0.2, 0.4, 0.5, 0.6], [0.1] * 4, False),
    ],
    ids=["ahead and learning", "decaying already", "ahead but flat", "learning but behind"],
)
def test_more_epochs_go_to_those_that_lead_and_learn(
    accuracies: list[float], rates: list[float], is_starved: bool, make_trace: MakeTrace
) -> None:
    assert _starved(make_trace(accuracies, rates)) == is_starved


@pytest.mark.parametrize(("duplicates", "dead", "is_starved"), [(0.3, 0.0, True), (0.0, 0.0, False), (0.3, 0.5, False)])
def test_only_copies_without_dead_maps_speak_for_more_training(
    duplicates: float, dead: float, is_starved: bool, make_trace: MakeTrace
) -> None:
    assert _starved(make_trace(FAST, readings={"width_00": (0.1, duplicates, dead)})) == is_starved


def test_a_loss_that_stands_still_speaks_against_it(make_trace: MakeTrace) -> None:
    trace = make_trace(FAST)
    trace.epochs[-1].loss = trace.epochs[1].loss
    trace.epochs[-1].readings = {"width_00": Reading(0.1, 0.3, 0.0)}
    assert not _starved(trace)


def test_a_few_peers_prove_nothing(make_trace: MakeTrace) -> None:
    assert not _starved(make_trace(FAST), least_peers=7)
