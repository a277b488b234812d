"""The same network read on the CPU and on every other device."""

from __future__ import annotations

import pytest
import torch
from agreement import MOST_BITS, NETWORKS, disagreement

from phashopt.plans import Blueprint


@pytest.mark.parametrize("plan", NETWORKS.values(), ids=list(NETWORKS))
def test_readings_agree_with_the_cpus(plan: Blueprint, device: torch.device) -> None:
    found = disagreement(plan, device)
    assert found["most bits"] <= MOST_BITS
    assert found["validity"] == 0
