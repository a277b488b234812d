from __future__ import annotations

import pytest
import torch

from phashopt.networks import build
from phashopt.plans import ImageShape, Plain

PLAN = Plain(kernel_size=3).plan([4, 6], ImageShape(1, 8, 8), 10)


def weights(seed: int) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in build(PLAN, seed).parameters()])


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = weights(0)
    torch.manual_seed(2)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_the_callers_random_numbers_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of its GPUs too, which `torch.manual_seed` would seed anew."""
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    build(PLAN, 0)
    assert torch.equal(before, torch.get_rng_state())
    assert not seeded
