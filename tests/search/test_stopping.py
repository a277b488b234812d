from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from phashopt.search.stopping import at_chance, behind, collapsed, exploded, never_learnt, settled, stuck
from phashopt.trace import Epoch, Reading, Trace


@pytest.mark.parametrize(
    ("losses", "lost"),
    [
        ([1.0, 0.5, math.nan], True),
        ([1.0, math.inf], True),
        ([math.inf], True),
        ([0.0, 1e-9], False),
        ([0.0, 0.1], True),
        ([1.0, 0.5, 3.1], True),
        ([1.0, 1.5, 2.9], False),
        ([math.nan, math.nan], False),
        ([math.nan, 1.0], False),
    ],
)
def test_a_loss_that_vanishes_or_trebles_has_exploded(losses: list[float], lost: bool) -> None:
    assert exploded(Trace([Epoch(number, loss=loss) for number, loss in enumerate(losses, start=1)])) == lost


@pytest.mark.parametrize(("accuracy", "lost"), [(0.85, False), (0.4, True), (math.nan, True)])
def test_a_childs_loss_may_grow_as_long_as_it_knows_most_of_what_it_knew(accuracy: float, lost: bool) -> None:
    trace = Trace([Epoch(1, loss=0.02, accuracy=0.97), Epoch(2, loss=0.6, accuracy=accuracy)])
    assert exploded(trace, child=True) == lost
    assert exploded(trace)


@pytest.mark.parametrize(
    ("accuracy", "loss", "guesses"),
    [
        (0.1, 2.3026, True),
        (0.5, 0.6931, True),
        (0.2, 2.2, False),
        (0.5, 1.4, False),
        (0.9, 0.3, False),
        (0.1, -1000.0, False),
    ],
    ids=["ten classes", "two classes", "a slow start", "half right", "well trained", "no cross-entropy"],
)
def test_a_network_guesses_if_it_is_right_no_more_often_than_it_is_sure(
    accuracy: float, loss: float, guesses: bool
) -> None:
    assert at_chance(Epoch(1, loss=loss, accuracy=accuracy)) == guesses
    assert not at_chance(Epoch(1, accuracy=accuracy))


@pytest.mark.parametrize(
    ("rows", "dead", "lost"),
    [
        ([(2.3, 0.1)], 0.5, False),
        ([(2.3, 0.1)], 1.0, True),
        ([(1.2, 0.6)], 1.0, False),
        ([(2.3, 0.1)] * 3, 0.0, False),
        ([(2.3, 0.1)] * 4, 0.0, True),
        ([(2.32, 0.1), (2.31, 0.1), (2.3, 0.1), (2.25, 0.11)], 0.0, False),
        ([(0.8, 0.7), (0.5, 0.8), (2.3, 0.1)], 0.0, False),
        ([(0.8, 0.7), (0.5, 0.8), (2.3, 0.1), (2.3, 0.1)], 0.0, True),
    ],
    ids=["young", "a dead layer", "dead but right", "three flat", "four flat", "the loss falls", "a dip", "fallen"],
)
def test_a_collapsed_network_guesses_and_will_not_learn(
    rows: list[tuple[float, float]], dead: float, lost: bool
) -> None:
    epochs = [Epoch(number, loss=loss, accuracy=accuracy) for number, (loss, accuracy) in enumerate(rows, start=1)]
    epochs[-1].readings = {"width_00": Reading(0.0, 0.0, 0.0), "width_01": Reading(0.0, 0.0, dead)}
    assert collapsed(Trace(epochs)) == lost


@pytest.mark.parametrize(
    ("accuracies", "nothing"),
    [([0.1] * 4, True), ([0.1] * 3, False), ([0.1, 0.1, 0.1, 0.2], False), ([0.9] * 4, False)],
    ids=["flat", "too few epochs", "rose", "right"],
)
def test_a_flat_curve_below_one_half_shows_no_learning(
    accuracies: list[float], nothing: bool, make_trace: Callable[..., Trace]
) -> None:
    assert never_learnt(make_trace(accuracies)) == nothing


PEERS = [{1: 0.8 + 0.05 * shift, 2: 1.5 + 0.05 * shift, 3: 2.0 + 0.05 * shift} for shift in range(6)]


@pytest.mark.parametrize(("nats", "lost"), [(0.1, True), (0.5, False), (1.4, False), (-math.inf, False)])
def test_a_trial_at_chance_is_stuck_where_others_were_well_above(nats: float, lost: bool) -> None:
    assert stuck({1: 0.1, 2: nats}, PEERS, least_peers=5) == lost


@pytest.mark.parametrize(
    ("own", "lost"),
    [
        ({1: 0.7, 2: 0.8, 3: 1.3}, True),
        ({1: 0.7, 2: 0.8, 3: 2.0}, False),
        ({1: 0.7, 2: 1.3, 3: 1.3}, False),
        ({1: 0.1}, False),
        ({8: 0.1, 9: 0.1}, False),
    ],
    ids=["twice", "recovered", "once", "one epoch", "where nobody was"],
)
def test_a_trial_is_behind_if_it_was_an_outlier_twice(own: dict[int, float], lost: bool) -> None:
    assert behind(own, PEERS, least_peers=5) == lost


def test_a_few_peers_prove_nothing() -> None:
    assert not behind({2: 0.0, 3: 0.0}, PEERS, least_peers=7)
    assert not stuck({1: 0.0, 2: 0.0}, PEERS, least_peers=7)


def test_a_trial_as_good_as_the_weakest_peer_is_never_behind() -> None:
    for weakest in PEERS:
        assert not behind(weakest, PEERS, least_peers=5)


FLAT = [0.5, 0.7, 0.8, 0.85, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]


@pytest.mark.parametrize(
    ("accuracies", "rates", "readings", "plateau"),
    [
        (FLAT, [0.1] * 12, {4: 0.30, 8: 0.31, 12: 0.32}, True),
        (FLAT, [0.1] * 12, {4: 0.20, 8: 0.31}, False),
        (FLAT, [0.1] * 12, {1: 0.5, 2: 0.4, 4: 0.30, 8: 0.31}, True),
        (FLAT, [0.1] * 12, {}, False),
        (FLAT, [0.1] * 11 + [0.05], {4: 0.30, 8: 0.31}, False),
        ([*FLAT[:-1], 0.92], [0.1] * 12, {4: 0.30, 8: 0.31}, False),
        (FLAT[4:], [0.1] * 8, {2: 0.30, 4: 0.30}, True),
        (FLAT[4:11], [0.1] * 7, {2: 0.30, 4: 0.30}, False),
    ],
    ids=["both flat", "reading moves", "read at doublings", "unread", "decaying", "accuracy rises", "short", "shorter"],
)
def test_a_trial_has_settled_when_accuracy_and_reading_have(
    accuracies: list[float],
    rates: list[float],
    readings: dict[int, float],
    plateau: bool,
    make_trace: Callable[..., Trace],
) -> None:
    trace = make_trace(accuracies, rates)
    for number, rho in readings.items():
        trace.epochs[number - 1].readings = {"width_00": Reading(rho, 0.5, 0.0)}
    assert settled(trace) == plateau
