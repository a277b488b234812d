from __future__ import annotations

import pytest

from phashopt.networks import build
from phashopt.plans import Blueprint, Family, ImageShape, Plain, ResNet, Vgg
from phashopt.plans.sites import head_reads, sites

CASES = [
    (Plain(), (4, 6)),
    (Vgg(stages=(1, 2)), (3, 4, 5)),
    (ResNet(blocks=(2, 2)), (4, 5, 6, 8, 9, 10)),
]


def _blueprint(family: Family, widths: tuple[int, ...]) -> Blueprint:
    return family.plan(widths, ImageShape(3, 16, 16), 10)


@pytest.mark.parametrize(("family", "widths"), CASES)
def test_convolutions_read_and_write_the_widths_they_are_built_with(family: Family, widths: tuple[int, ...]) -> None:
    blueprint = _blueprint(family, widths)
    counts = dict(zip(blueprint.readouts.values(), widths, strict=True))
    network = build(blueprint, 0)
    found = sites(blueprint)
    assert sum("conv.weight" in name for name in network.state_dict()) == len(found)
    for site in found:
        weight = network.get_parameter(f"{site.name}.conv.weight")
        assert weight.shape[0] == counts[site.writes]
        assert weight.shape[1] == (3 if site.reads is None else counts[site.reads])
    assert network.get_parameter("head.linear.weight").shape[1] % counts[head_reads(blueprint)] == 0


@pytest.mark.parametrize(("family", "widths"), CASES)
def test_a_blueprint_is_resized_to_itself(family: Family, widths: tuple[int, ...]) -> None:
    blueprint = _blueprint(family, widths)
    assert blueprint.resized(widths) == blueprint
    wider = [width + 2 for width in widths]
    assert blueprint.resized(wider) == _blueprint(family, tuple(wider))
