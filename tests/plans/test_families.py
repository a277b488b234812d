from __future__ import annotations

import pytest
import torch

from phashopt.errors import UserError
from phashopt.networks import build
from phashopt.plans import FAMILIES, Family, ImageShape, Plain, ResNet, Vgg, width_name

IMAGE = ImageShape(1, 8, 8)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_known_by_its_own_name(name: str) -> None:
    assert FAMILIES[name].model_fields["family"].default == name


@pytest.mark.parametrize(
    ("family", "widths", "message"),
    [
        (Plain(), [], "at least 1 widths"),
        (Vgg(stages=(2, 2)), [4, 4, 4], "takes 4 widths, not 3"),
        (ResNet(blocks=(1, 1)), [4] * 5, "takes 4 widths, not 5"),
        (Plain(pools=(2,)), [4, 4], "names layer 2, the last layer is 1"),
        (Plain(pools=(0, 0)), [4, 4], "names a layer twice"),
        (Plain(pools=(0, 1, 2, 3)), [4] * 4, "nothing is left"),
        (Vgg(stages=(1,) * 5), [4] * 5, "5 stages halve"),
    ],
)
def test_widths_that_do_not_fit_are_the_users_to_mend(family: Family, widths: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        family.plan(widths, IMAGE, 10)


def test_plain_pools_while_two_by_two_pixels_remain() -> None:
    plan = Plain().plan([4] * 4, IMAGE, 10)
    assert [name for name in plan.parts if name.startswith("pool")] == ["pool0", "pool1"]


def test_widths_along_a_residual_path_move_together() -> None:
    network = build(ResNet(blocks=(2,)).plan([6, 3, 4], IMAGE, 10), seed=0)
    writers = ["stem.conv", "stage0_block0.second.conv", "stage0_block1.second.conv"]
    assert {network.get_submodule(name).out_channels for name in writers} == {6}


def test_width_names_sort_as_layers_do() -> None:
    names = [width_name(index) for index in range(12)]
    assert names == sorted(names)


@pytest.mark.parametrize("family", [Plain(), Vgg(stages=(1, 1)), ResNet(blocks=(1,))])
def test_weights_depend_on_the_seed_alone_and_leave_the_random_state_as_it_was(family: Family) -> None:
    plan = family.plan([4, 4], IMAGE, 10)
    before = torch.get_rng_state()
    first, again, other = (build(plan, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
