from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from phashopt.networks import build
from phashopt.plans import Family, ImageShape, Plain, ResNet, Vgg

CASES = [
    (Plain(), [32, 64], ImageShape(3, 32, 32), 10),
    (Plain(), [5], ImageShape(1, 28, 28), 7),
    (Plain(kernel_size=3, batch_norm=True), [8, 16, 24, 5], ImageShape(3, 17, 23), 10),
    (Plain(pools=(1,)), [4, 6, 8], ImageShape(1, 8, 8), 10),
    (Vgg(stages=(1, 2)), [3, 5, 7], ImageShape(3, 15, 15), 10),
    (Vgg(), [8, 9, 10, 11, 12, 13], ImageShape(3, 32, 32), 100),
    (ResNet(blocks=(1, 2)), [4, 5, 4, 6, 7], ImageShape(1, 28, 28), 10),
    (ResNet(blocks=(1, 2)), [4, 5, 9, 6, 7], ImageShape(3, 13, 11), 10),
    (ResNet(), [8, 7, 6, 5, 16, 15, 14, 13, 24, 23, 22, 21], ImageShape(3, 32, 32), 10),
]


@pytest.mark.parametrize(("family", "widths", "image", "classes"), CASES)
def test_cost_equals_the_built_modules(family: Family, widths: list[int], image: ImageShape, classes: int) -> None:
    plan = family.plan(widths, image, classes)
    network = build(plan, seed=0).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *image))
    assert 2 * plan.cost.macs == counter.get_total_flops()
    assert plan.cost.params == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("family", "widths", "image", "classes"), CASES)
def test_every_width_is_read_on_a_module_with_as_many_channels(
    family: Family, widths: list[int], image: ImageShape, classes: int
) -> None:
    plan = family.plan(widths, image, classes)
    network = build(plan, seed=0).eval()
    seen: dict[str, int] = {}
    for module, width in plan.readouts.items():
        network.get_submodule(module).register_forward_hook(
            lambda _, __, output, width=width: seen.update({width: output.shape[1]})
        )
    network(torch.zeros(1, *image))
    assert [seen[f"width_{index:02d}"] for index in range(len(widths))] == widths


def test_reading_costs_one_forward_and_every_channels_way_back() -> None:
    plan = Plain(kernel_size=3, pools=()).plan([2, 3], ImageShape(1, 4, 4), 5)
    first, second, head = 2 * 9 * 16, 3 * 2 * 9 * 16, 3 * 16 * 5
    way_back = first + (3 * first + second)
    assert plan.reading_macs(7) == 7 * (first + second + head + way_back)


@pytest.mark.parametrize(("batch_norm", "passes"), [(True, 100), (False, 0)])
def test_a_reading_pays_for_the_images_that_batch_norm_is_recalibrated_on(batch_norm: bool, passes: int) -> None:
    plan = Plain(kernel_size=3, pools=(), batch_norm=batch_norm).plan([2, 3], ImageShape(1, 4, 4), 5)
    assert plan.reading_macs(7, calibration=100) == plan.reading_macs(7) + passes * plan.cost.macs


def test_reading_cost_counts_at_most_the_channels_read() -> None:
    plan = Plain(kernel_size=3, pools=()).plan([4, 4], ImageShape(1, 4, 4), 5)
    assert plan.reading_macs(1, 2) < plan.reading_macs(1, 4) == plan.reading_macs(1)
