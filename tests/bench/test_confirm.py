from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from phashopt.bench.confirm import welch_interval

samples = st.lists(st.integers(0, 1000).map(lambda number: number / 1000), min_size=2, max_size=8)


@given(samples, samples)
def test_the_interval_is_scipys(ours: list[float], theirs: list[float]) -> None:
    low, high = welch_interval(ours, theirs)
    gain = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    assert low <= gain + 1e-9
    assert high >= gain - 1e-9
    if min(len(set(ours)), len(set(theirs))) > 1:
        expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.9)
        assert (low, high) == pytest.approx(tuple(expected), rel=1e-6, abs=1e-9)


def test_one_seed_says_nothing() -> None:
    assert welch_interval([0.9], [0.1, 0.2]) == (-math.inf, math.inf)
