from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phashopt.errors import UserError
from phashopt.signal.fingerprint import Fingerprints
from phashopt.signal.redundancy import RESAMPLES, SAME, LayerReport, groups_alike, similarity


def layer(bits: np.ndarray, valid: np.ndarray | None = None) -> LayerReport:
    probes, channels, _ = bits.shape
    valid = np.ones((probes, channels), bool) if valid is None else valid
    return LayerReport(channels, np.arange(channels), Fingerprints(bits, valid, valid.astype(float)))


def families(copies: list[int], probes: int = 8, flips: int = 2, seed: int = 0) -> np.ndarray:
    """(N, K, 63): for each entry of `copies` an unrelated hash and that many channels a few bits away from it."""
    generator = np.random.default_rng(seed)
    channels = []
    for count in copies:
        parent = generator.random((probes, 63)) < 0.5
        for _ in range(count):
            child = parent.copy()
            for probe in child:
                probe[generator.choice(63, flips, replace=False)] ^= True
            channels.append(child)
    return np.stack(channels, 1)


@st.composite
def readings(draw: st.DrawFn) -> LayerReport:
    copies = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    bits = families(copies, flips=draw(st.integers(0, 6)), seed=draw(st.integers(0, 99)))
    valid = np.random.default_rng(draw(st.integers(0, 99))).random(bits.shape[:2]) < draw(st.sampled_from([0.3, 0.9]))
    return layer(bits, valid)


@given(readings())
def test_similarity_equals_counting(reading: LayerReport) -> None:
    bits, valid = reading.fingerprints.bits, reading.fingerprints.valid
    for one in range(reading.channels):
        for other in range(reading.channels):
            common = valid[:, one] & valid[:, other]
            words = [(word(bits[n, one]), word(bits[n, other])) for n in np.flatnonzero(common)]
            expected = np.mean([1 - (a ^ b).bit_count() / 63 for a, b in words]) if common.sum() >= 3 else np.nan
            np.testing.assert_allclose(reading.similarity[one, other], expected)


@given(readings(), st.randoms())
def test_the_order_of_channels_is_of_no_account(reading: LayerReport, random) -> None:
    order = np.array(random.sample(range(reading.channels), reading.channels))
    prints = reading.fingerprints
    permuted = layer(prints.bits[:, order], prints.valid[:, order])
    np.testing.assert_array_equal(permuted.similarity, reading.similarity[np.ix_(order, order)])
    np.testing.assert_equal(permuted.redundancy, reading.redundancy)
    np.testing.assert_equal(permuted.duplicate_rate, reading.duplicate_rate)
    assert same_partition(permuted.groups, reading.groups[order])
    np.testing.assert_allclose(permuted.vendi, reading.vendi)


@given(readings())
def test_a_dead_channel_changes_nothing_but_the_dead_share(reading: LayerReport) -> None:
    prints = reading.fingerprints
    noise = np.random.default_rng(0).random((len(prints.bits), 1, 63)) < 0.5
    more = layer(np.append(prints.bits, noise, 1), np.append(prints.valid, np.zeros((len(noise), 1), bool), 1))
    np.testing.assert_equal(
        (more.redundancy, more.duplicate_rate, more.alive, more.mean_similarity),
        (reading.redundancy, reading.duplicate_rate, reading.alive, reading.mean_similarity),
    )
    assert more.groups[-1] == -1
    assert more.dead == 1 - reading.alive / (reading.channels + 1)


@given(readings(), st.integers(1, 30))
def test_a_cut_has_as_many_groups_as_asked(reading: LayerReport, count: int) -> None:
    groups = reading.groups_at(count)
    assert len(set(groups[groups >= 0])) == min(count, reading.alive)
    np.testing.assert_array_equal(groups < 0, reading.groups < 0)


@given(readings())
def test_cuts_are_nested(reading: LayerReport) -> None:
    for count in range(1, reading.alive):
        finer, coarser = reading.groups_at(count + 1), reading.groups_at(count)
        assert all(len(set(coarser[finer == group])) == 1 for group in range(count + 1))


@given(readings())
def test_the_groups_are_the_cut_at_their_number(reading: LayerReport) -> None:
    if reading.alive:
        assert same_partition(reading.groups, reading.groups_at(reading.distinct))


@given(readings())
@settings(max_examples=20)
def test_the_interval_is_that_of_probes_drawn_again(reading: LayerReport) -> None:
    bits, valid = reading.fingerprints.bits, reading.fingerprints.valid
    draws = np.random.default_rng(0).integers(len(bits), size=(RESAMPLES, len(bits)))
    values = [layer(bits[draw], valid[draw]).redundancy for draw in draws]
    expected = np.nanquantile(values, [0.05, 0.95]) if np.isfinite(values).any() else (np.nan, np.nan)
    np.testing.assert_allclose(reading.interval, expected, atol=1 / reading.channels)


@pytest.mark.parametrize("copies", [[1], [1, 1], [3], [4, 1, 2], [1, 1, 5]])
def test_the_similarities_alone_tell_the_groups(copies: list[int]) -> None:
    bits = families(copies)
    valid = np.ones(bits.shape[:2], bool)
    valid[:, -1] = False
    reading = layer(bits, valid)
    found = groups_alike(reading.similarity, reading.groups >= 0, SAME)
    assert found.tolist() == reading.groups.tolist()


def test_groups_below_one_are_refused() -> None:
    with pytest.raises(UserError, match="0 groups"):
        layer(families([2])).groups_at(0)


@pytest.mark.parametrize("copies", [[1] * 12, [4, 1, 1, 3], [9], [2] * 6])
def test_near_copies_are_one_group(copies: list[int]) -> None:
    reading = layer(families(copies))
    expected = np.repeat(np.arange(len(copies)), copies)
    np.testing.assert_array_equal(reading.groups, expected)
    assert reading.distinct == len(copies)
    assert reading.redundancy == 1 - len(copies) / sum(copies)
    assert reading.duplicate_rate == sum(count for count in copies if count > 1) / sum(copies)


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_identical_channels(channels: int) -> None:
    reading = layer(families([channels], flips=0))
    np.testing.assert_array_equal(reading.similarity, np.ones((channels, channels)))
    assert reading.redundancy == 1 - 1 / channels
    assert reading.vendi == pytest.approx(1)


def test_a_layer_all_dead_has_no_reading() -> None:
    bits = families([3, 2])
    reading = layer(bits, np.zeros(bits.shape[:2], bool))
    assert (reading.alive, reading.dead, reading.distinct) == (0, 1.0, 0)
    numbers = [reading.redundancy, reading.duplicate_rate, reading.mean_similarity, reading.vendi, *reading.interval]
    assert np.isnan(numbers).all()
    np.testing.assert_array_equal(reading.groups, [-1] * 5)
    np.testing.assert_array_equal(reading.groups_at(2), [-1] * 5)


def test_one_live_channel_is_not_redundant() -> None:
    bits = families([3])
    reading = layer(bits, np.arange(3) == np.full((8, 1), 1))
    assert (reading.alive, reading.distinct, reading.redundancy, reading.duplicate_rate) == (1, 1, 0.0, 0.0)
    assert np.isnan(reading.mean_similarity)


def test_a_channel_needs_three_probes_to_live() -> None:
    bits = families([1, 1, 1])
    valid = np.arange(8)[:, None] < np.array([8, 3, 2])
    assert layer(bits, valid).alive == 2


def test_two_channels_that_never_meet_are_unrelated() -> None:
    bits = families([2, 1], flips=0)
    valid = np.ones((8, 3), bool)
    valid[:4, 0], valid[4:, 1] = False, False
    reading = layer(bits, valid)
    assert np.isnan(reading.similarity[0, 1])
    assert reading.distinct == 3
    assert np.isfinite(reading.vendi)


def test_unrelated_signs_make_vendi_count_channels() -> None:
    walsh = np.array([[(row & column).bit_count() % 2 == 0 for column in range(64)] for row in range(16)])
    assert layer(np.repeat(walsh[None], 4, 0)).vendi == pytest.approx(16)


def test_probes_that_agree_leave_no_doubt() -> None:
    bits = np.repeat(families([3, 2, 1], probes=1, flips=0), 8, 0)
    assert layer(bits).interval == (0.5, 0.5)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_the_interval_is_an_interval_and_repeats(seed: int) -> None:
    bits = families([3, 3, 3, 1, 1], flips=5, seed=seed)
    low, high = layer(bits).interval
    assert 0 <= low <= high < 1
    assert layer(bits).interval == (low, high)


def test_similarity_is_exact_for_many_probes_and_bits() -> None:
    bits = np.random.default_rng(0).random((64, 3, 189)) < 0.5
    valid = np.ones((64, 3), bool)
    assert similarity(bits, valid)[0, 1] == np.mean(bits[:, 0] == bits[:, 1])


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    together = np.equal.outer(one, one) == np.equal.outer(other, other)
    return bool(together.all() and ((one < 0) == (other < 0)).all())


def word(bits: np.ndarray) -> int:
    return int("".join(str(int(bit)) for bit in bits), 2)
