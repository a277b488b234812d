from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from phashopt.errors import UserError
from phashopt.inspection.cost import layer_macs
from phashopt.networks import build
from phashopt.plans import Family, ImageShape, Plain, ResNet, Vgg


@pytest.mark.parametrize(
    ("family", "widths"),
    [(Plain(), [4, 6]), (Vgg(stages=(1, 2)), [4, 6, 5]), (ResNet(blocks=(1, 1)), [4, 3, 6, 5])],
)
@pytest.mark.parametrize("images", [1, 3])
def test_the_count_is_the_blueprints(family: Family, widths: list[int], images: int) -> None:
    blueprint = family.plan(widths, ImageShape(3, 16, 12), 10)
    counted = layer_macs(build(blueprint, 0), torch.randn(images, 3, 16, 12))
    assert sum(counted.values()) == blueprint.cost.macs


@pytest.mark.parametrize(
    ("layer", "macs"),
    [
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), 6 * 2 * 9 * 8 * 8),
        (nn.Conv2d(4, 4, 3, stride=2, groups=4), 4 * 9 * 3 * 3),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), 4 * 8 * 8 * 6 * 4),
    ],
)
def test_grouped_strided_and_transposed_convolutions(layer: nn.Module, macs: int) -> None:
    assert layer_macs(nn.Sequential(layer), torch.randn(2, 4, 8, 8)) == {"0": macs}


def test_a_layer_that_runs_twice_counts_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.conv(self.conv(images))

    assert layer_macs(Twice(), torch.randn(1, 2, 5, 5)) == {"conv": 2 * 4 * 25}


def test_images_that_do_not_fit_are_one_line_and_no_hook_stays() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    with pytest.raises(UserError, match=r"Sequential cannot take 1x9x9 images \(.*\): try another --size") as caught:
        layer_macs(model, torch.randn(1, 1, 9, 9))
    assert "\n" not in str(caught.value)
    assert not any(module._forward_hooks for module in model.modules())
