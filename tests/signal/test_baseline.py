from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from phashopt.errors import UserError
from phashopt.signal import baseline, measure
from phashopt.signal.baseline import untrained


class Scaled(nn.Module):
    """Two convolutions with a norm and a factor of the user's own between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.factor = nn.Parameter(torch.arange(1.0, 5.0)[:, None, None])
        self.last = nn.Conv2d(4, 5, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.norm(self.first(images)).relu() * self.factor)


def trained(seed: int) -> Scaled:
    """Weights that nobody would draw."""
    torch.manual_seed(seed)
    model = Scaled()
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and tensor is not model.factor:
                tensor.normal_().abs_()
        model.factor.copy_(torch.arange(1.0, 5.0)[:, None, None])
    return model


IMAGES = torch.randn(8, 1, 12, 12, generator=torch.Generator().manual_seed(3))


def test_what_was_learnt_is_of_no_account() -> None:
    one, other = (baseline(trained(seed), IMAGES)["last"].fingerprints.bits for seed in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_it_is_the_reading_of_a_fresh_network() -> None:
    torch.manual_seed(5)
    fresh = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3))
    learnt = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3))
    report, expected = baseline(learnt, IMAGES, seed=5), measure(fresh, IMAGES)
    for layer in expected:
        np.testing.assert_array_equal(report[layer].fingerprints.bits, expected[layer].fingerprints.bits)


def test_another_seed_is_another_draw() -> None:
    one, other = (baseline(trained(0), IMAGES, seed=seed)["last"].fingerprints.bits for seed in (0, 1))
    assert (one != other).any()


def test_settings_are_those_of_measure() -> None:
    report = baseline(trained(0), IMAGES, layers=["last"], max_channels=2, hash="median", calibration=IMAGES)
    assert list(report) == ["last"]
    assert report["last"].fingerprints.bits.shape == (8, 2, 64)
    with pytest.raises(UserError, match="no layer"):
        baseline(trained(0), IMAGES, layers=["middle"])


def test_a_module_that_cannot_reset_itself_is_shuffled() -> None:
    model = trained(0)
    factor = untrained(model).factor
    assert not torch.equal(factor, model.factor)
    torch.testing.assert_close(factor.flatten().sort().values, model.factor.flatten().sort().values)


def test_the_model_and_the_random_state_stay() -> None:
    model = trained(0).train()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    baseline(model, IMAGES, calibration=IMAGES)
    torch.testing.assert_close(model.state_dict(), weights, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in model.modules())
