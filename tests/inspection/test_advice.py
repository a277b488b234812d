from __future__ import annotations

import numpy as np
import pytest

from phashopt.inspection.advice import suggest
from phashopt.signal import LayerReport
from phashopt.signal.fingerprint import Fingerprints

BITS, PROBES = 63, 8


def report(groups: list[int]) -> LayerReport:
    """A layer whose kernels of one group have the same hashes; -1 is a dead kernel."""
    rng = np.random.default_rng(0)
    prints = rng.integers(0, 2, (PROBES, max(groups) + 2, BITS)).astype(bool)
    valid = np.tile(np.array(groups) >= 0, (PROBES, 1))
    return LayerReport(len(groups), np.arange(len(groups)), Fingerprints(prints[:, groups], valid, valid.astype(float)))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (list(range(16)), "room for more"),
        ([0] * 12 + list(range(1, 5)), "if trained out, 5 kernels"),
        ([0] * 4 + list(range(1, 13)), "no clear sign"),
        ([-1] * 16, "16 of 16 dead: collapsed"),
        ([-1] * 13 + [0, 1, 2], "13 of 16 dead: collapsed"),
        ([-1] * 6 + list(range(10)), "6 dead on these images"),
        ([-1] * 6 + [0] * 5 + list(range(1, 6)), "dead maps and copies"),
    ],
)
def test_each_state_has_its_words(groups: list[int], words: str) -> None:
    assert words in suggest(report(groups))
