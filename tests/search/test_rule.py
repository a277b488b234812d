from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from phashopt.search.fit import uniform
from phashopt.search.proposal import Proposal
from phashopt.search.record import Record
from phashopt.search.rule import propose
from phashopt.search.space import Axis, Point, Space

RISING = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85)
NAMES = ["width_00", "width_01", "width_02"]
MakeSpace = Callable[..., Space]
MakeRecord = Callable[..., Record]


def _proposals(space: Space, records: list[Record], seeds: int = 40) -> list[Proposal]:
    """What follows from these trials, whatever the random numbers; the uniform network counts as tried."""
    seen = {space.key(record.params) for record in records} | {space.key(uniform(space))}
    return [propose(space, records, seen, np.random.default_rng(seed)) for seed in range(seeds)]


def _peers(make_record: MakeRecord, redundancies: tuple[float, ...] = (0.3, 0.3, 0.3)) -> list[Record]:
    """Two trials too poor to start from that make up the study's history."""
    return [make_record(number, (8, 8, 8 * number), redundancies, value=0.1, epochs=3) for number in (1, 2)]


def _from_best(proposals: list[Proposal], words: str) -> list[Proposal]:
    return [proposal for proposal in proposals if "From trial 0 " in proposal.reason and words in proposal.reason]


def _widths(point: Point) -> list[int]:
    return [point[name] for name in NAMES]


def test_the_first_network_is_uniform_at_the_cap(make_space: MakeSpace) -> None:
    space = make_space()
    assert propose(space, [], set(), np.random.default_rng(0)).point == uniform(space)


def test_workers_that_start_together_start_differently(make_space: MakeSpace) -> None:
    space = make_space()
    seen: set[tuple[int, ...]] = set()
    for number in range(16):
        seen.add(space.key(propose(space, [], seen, np.random.default_rng([0, number])).point))
    assert len(seen) == 16


def test_little_redundant_means_more_kernels(make_space: MakeSpace, make_record: MakeRecord) -> None:
    best = make_record(0, (24, 24, 24), (0.3, 0.1, 0.3))
    grown = _from_best(_proposals(make_space(None), [best, *_peers(make_record)]), "little redundant")
    assert grown
    assert all(_widths(proposal.point) == [24, 32, 24] for proposal in grown)
    assert all(proposal.point["epochs"] == 6 for proposal in grown)
    assert all(proposal.others["learning_rate"] == 0.1 for proposal in grown)


def test_highly_redundant_and_still_improving_means_longer_at_another_rate(
    make_space: MakeSpace, make_record: MakeRecord
) -> None:
    best = make_record(0, (24, 24, 24), (0.3, 0.6, 0.3), accuracies=RISING)
    proposals = _proposals(make_space(None), [best, *_peers(make_record)])
    longer = _from_best(proposals, "more training may mend it")
    assert longer
    assert all(proposal.point == {**dict.fromkeys(NAMES, 24), "epochs": 9} for proposal in longer)
    assert all(proposal.others["learning_rate"] == pytest.approx(0.15) for proposal in longer)
    assert not _from_best(proposals, "trained out")


def test_highly_redundant_and_trained_out_means_fewer_kernels(make_space: MakeSpace, make_record: MakeRecord) -> None:
    best = make_record(0, (24, 24, 24), (0.3, 0.6, 0.3))
    proposals = _proposals(make_space(None), [best, *_peers(make_record)])
    shrunk = _from_best(proposals, "trained out")
    assert shrunk
    assert all(_widths(proposal.point) == [24, 16, 24] for proposal in shrunk)
    assert not _from_best(proposals, "more training")


def test_what_cannot_be_trained_longer_is_cut_at_another_rate(make_space: MakeSpace, make_record: MakeRecord) -> None:
    best = make_record(0, (24, 24, 24), (0.3, 0.6, 0.3), accuracies=RISING)
    proposals = _proposals(make_space(None, range(2, 7)), [best, *_peers(make_record)])
    cut = _from_best(proposals, "trained as long as may be")
    assert cut
    assert all(_widths(proposal.point) == [24, 16, 24] for proposal in cut)
    assert all(proposal.others["learning_rate"] == pytest.approx(0.15) for proposal in cut)
    assert not _from_best(proposals, "more training")


def test_copies_beside_dead_maps_lower_the_rate_and_cut_no_kernels(
    make_space: MakeSpace, make_record: MakeRecord
) -> None:
    best = make_record(0, (24, 24, 24), (0.3, 0.6, 0.3), duplicates=0.5, dead=0.4)
    proposals = _proposals(make_space(None), [best, *_peers(make_record)])
    assert _from_best(proposals, "copies beside 40% dead maps")
    moved = [proposal for proposal in _from_best(proposals, "") if "random step" not in proposal.reason]
    assert all(proposal.others["learning_rate"] == pytest.approx(0.1 / 1.5) for proposal in moved)
    assert not _from_best(proposals, "trained out")


def test_under_a_cap_the_most_redundant_other_layer_pays(make_space: MakeSpace, make_record: MakeRecord) -> None:
    best = make_record(0, (8, 24, 64), (0.3, 0.1, 0.5))
    grown = _from_best(_proposals(make_space(1800), [best, *_peers(make_record)]), "little redundant")
    assert grown
    assert all(_widths(proposal.point) == [8, 32, 48] for proposal in grown)
    assert all("paid for by layer 3 (width_02) 64 -> 48" in proposal.reason for proposal in grown)


def test_what_a_cut_saves_goes_to_the_least_redundant_layer(make_space: MakeSpace, make_record: MakeRecord) -> None:
    best = make_record(0, (24, 24, 64), (0.3, 0.3, 0.6))
    space = make_space(24 + 24 * 24 + 24 * 64)
    cut = _from_best(_proposals(space, [best, *_peers(make_record)]), "trained out")
    assert cut
    assert all(_widths(proposal.point) == [32, 24, 48] for proposal in cut)


def test_walks_start_from_the_best_few_feasible_trials(make_space: MakeSpace, make_record: MakeRecord) -> None:
    values = {0: 0.6, 1: 0.95, 2: 0.1, 3: 0.8, 4: 0.7}
    records = [
        make_record(number, (16 + 8 * number, 24, 24), (0.3, 0.1, 0.6), value=value) for number, value in values.items()
    ]
    records[1] = replace(records[1], feasible=False)
    reasons = [proposal.reason for proposal in _proposals(make_space(None), records, 200)]
    starts = Counter(reason.split()[2] for reason in reasons if reason.startswith("From trial"))
    assert [start for start, _ in starts.most_common()] == ["3", "4", "0"]


def test_a_value_that_is_infinite_is_no_start(make_space: MakeSpace, make_record: MakeRecord) -> None:
    records = [make_record(number, (16, 16, 16), (0.1,) * 3, value=0.5) for number in range(3)]
    records.append(make_record(3, (8, 8, 8), (0.1,) * 3, value=math.inf))
    for seed in range(6):
        assert "trial 3" not in propose(make_space(), records, set(), np.random.default_rng(seed)).reason


def test_a_start_over_the_cap_and_off_the_grid_is_mended(make_space: MakeSpace, make_record: MakeRecord) -> None:
    space = make_space(600)
    records = [make_record(0, (63, 61, 30), (0.3, 0.6, 0.1)), *_peers(make_record)]
    for proposal in _proposals(space, records):
        assert space.feasible(proposal.point)
        assert all(proposal.point[name] in axis.values for name, axis in space.axes.items())


def test_without_readings_no_proposal_speaks_of_redundancy(make_space: MakeSpace, make_record: MakeRecord) -> None:
    records = [make_record(0, (24, 24, 24), (0.3, 0.1, 0.6)), *_peers(make_record)]
    blank = _proposals(make_space(), [record.unread for record in records])
    assert not [proposal for proposal in blank if "redundant" in proposal.reason]
    assert blank == _proposals(make_space(), [replace(record, readings={}) for record in records])


def test_no_point_is_repeated_while_another_is_left(make_space: MakeSpace, make_record: MakeRecord) -> None:
    space = replace(make_space(300, range(2, 4)))
    records = [make_record(number, (8, 8, 8), (0.1, 0.3, 0.6), value=number / 10, epochs=2) for number in range(3)]
    seen: set[tuple[int, ...]] = set()
    rng = np.random.default_rng(0)
    while "is repeated" not in (proposal := propose(space, records, seen, rng)).reason:
        assert space.feasible(proposal.point)
        assert space.key(proposal.point) not in seen
        seen.add(space.key(proposal.point))
    assert space.feasible(proposal.point)
    assert len(seen) == 2 * sum(
        space.feasible(dict(zip(NAMES, (8 * a, 8 * b, 8 * c), strict=True)))
        for a in range(1, 9)
        for b in range(1, 9)
        for c in range(1, 9)
    )


def test_what_was_given_over_the_cap_leaves_the_rest_smallest(make_space: MakeSpace) -> None:
    space = make_space(300).given({"width_01": 64})
    proposal = propose(space, [], set(), np.random.default_rng(0))
    assert _widths(proposal.point) == [8, 64, 8]


def test_one_layer_alone_is_walked_too(make_record: MakeRecord) -> None:
    space = Space({"width_00": Axis(range(8, 65, 8))})
    records = [
        make_record(number, (width,), (rho,), value=width / 100)
        for number, (width, rho) in enumerate([(16, 0.3), (24, 0.4), (40, 0.2)])
    ]
    seen = {space.key(record.params) for record in records} | {space.key(uniform(space))}
    reasons = [propose(space, records, seen, np.random.default_rng(seed)).reason for seed in range(20)]
    assert any("little redundant (redundancy 0.20, duplicates 0.20): 40 -> 56" in reason for reason in reasons)
