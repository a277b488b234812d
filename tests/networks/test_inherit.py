from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from phashopt.errors import UserError
from phashopt.networks import Network, build, grow, inherit, inherit_macs, shrink
from phashopt.networks.refit import refit, refit_macs
from phashopt.plans import Family, ImageShape, Plain, ResNet, Vgg

FAMILIES = {
    "plain": (Plain(kernel_size=3), (12, 16)),
    "plain with batch norm": (Plain(kernel_size=3, batch_norm=True), (12, 16)),
    "vgg": (Vgg(stages=(1, 1)), (12, 16)),
    "resnet": (ResNet(blocks=(1, 1)), (12, 10, 16, 14)),
}
EVERY = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    scans = load_digits()
    return torch.tensor(scans.images, dtype=torch.float32)[:600, None] / 8 - 1, torch.tensor(scans.target)[:600]


@pytest.fixture(scope="module")
def parents(digits: tuple[Tensor, Tensor]) -> dict[str, Network]:
    return {name: _trained(*family, *digits) for name, family in FAMILIES.items()}


def _trained(family: Family, widths: Sequence[int], images: Tensor, labels: Tensor) -> Network:
    network = build(family.plan(widths, ImageShape(1, 8, 8), 10), 0)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    order = torch.Generator().manual_seed(0)
    for _ in range(12):
        for batch in torch.randperm(len(images), generator=order).split(50):
            loss = F.cross_entropy(network(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def _accuracy(network: Network, digits: tuple[Tensor, Tensor]) -> float:
    return (network.eval()(digits[0]).argmax(1) == digits[1]).float().mean().item()


@EVERY
def test_a_wider_child_answers_as_its_parent(
    parents: dict[str, Network], digits: tuple[Tensor, Tensor], family: str
) -> None:
    parent = parents[family]
    child = grow(parent, [width + 3 for width in parent.blueprint.widths], seed=7).eval()
    with torch.no_grad():
        assert (child(digits[0]) - parent(digits[0])).abs().max() < 1e-5


@EVERY
def test_what_grew_can_be_taught(parents: dict[str, Network], digits: tuple[Tensor, Tensor], family: str) -> None:
    parent = parents[family]
    child = grow(parent, [width + 3 for width in parent.blueprint.widths], seed=7).train()
    F.cross_entropy(child(digits[0]), digits[1]).backward()
    new_inputs = child.get_parameter("head.linear.weight").grad
    assert new_inputs is not None
    features = parent.get_parameter("head.linear.weight").shape[1]
    assert new_inputs[:, features:].abs().max() > 0


@EVERY
def test_a_child_of_the_same_widths_answers_nearly_as_its_parent(
    parents: dict[str, Network], digits: tuple[Tensor, Tensor], family: str
) -> None:
    parent = parents[family]
    child = shrink(parent, parent.blueprint.widths, digits[0]).eval()
    with torch.no_grad():
        given, own = parent(digits[0]), child(digits[0])
    assert ((own - given).square().mean() / given.var()).item() < 0.01


@EVERY
def test_a_child_of_half_the_kernels_keeps_most_of_what_was_learnt_before_any_training(
    parents: dict[str, Network], digits: tuple[Tensor, Tensor], family: str
) -> None:
    parent = parents[family]
    halved = [width // 2 for width in parent.blueprint.widths]
    child = shrink(parent, halved, digits[0])
    assert child.blueprint.widths == tuple(halved)
    untrained = _accuracy(build(child.blueprint, 0), digits)
    learnt, kept = (_accuracy(network, digits) - untrained for network in (parent, child))
    assert learnt > 0.5
    assert kept > learnt / 2  # how much more depends on how the processor rounds that trained the parent


@EVERY
def test_the_parent_stays_as_it_was(parents: dict[str, Network], digits: tuple[Tensor, Tensor], family: str) -> None:
    parent = parents[family]
    before = {name: tensor.clone() for name, tensor in parent.state_dict().items()}
    shrink(parent, [width // 2 for width in parent.blueprint.widths], digits[0])
    grow(parent, [width + 1 for width in parent.blueprint.widths])
    assert all(torch.equal(before[name], tensor) for name, tensor in parent.state_dict().items())
    assert not parent.training


def test_any_widths_can_be_inherited(parents: dict[str, Network], digits: tuple[Tensor, Tensor]) -> None:
    child = inherit(parents["plain"], (6, 24), digits[0])
    assert child.blueprint.widths == (6, 24)
    assert _accuracy(child, digits) > 0.7


@EVERY
@pytest.mark.parametrize("more", [0, 3])
def test_a_child_that_is_nowhere_narrower_has_its_parents_kernels_as_they_are(
    parents: dict[str, Network], digits: tuple[Tensor, Tensor], family: str, more: int
) -> None:
    parent = parents[family]
    widths = [width + more for width in parent.blueprint.widths]
    child, grown = (
        dict(each.named_parameters()) for each in (inherit(parent, widths, digits[0]), grow(parent, widths))
    )
    assert all(torch.equal(tensor, grown[name]) for name, tensor in child.items())
    assert more or all(torch.equal(tensor, parent.get_parameter(name)) for name, tensor in child.items())


def test_one_kernel_of_each_given_group_is_kept(parents: dict[str, Network], digits: tuple[Tensor, Tensor]) -> None:
    parent = parents["plain"]
    groups = {"width_00": np.arange(12, dtype=np.int32) % 4, "width_01": np.arange(16, dtype=np.int32) % 8}
    child = shrink(parent, (4, 8), digits[0], groups)
    kept = [
        int((parent.get_parameter("layer0.conv.weight") - kernel).flatten(1).norm(dim=1).argmin()) % 4
        for kernel in child.get_parameter("layer0.conv.weight")
    ]
    assert sorted(kept) == [0, 1, 2, 3]


@pytest.mark.parametrize(("call", "widths"), [(shrink, (12, 20)), (grow, (8, 16))])
def test_the_wrong_direction_is_the_users_to_mend(
    parents: dict[str, Network], digits: tuple[Tensor, Tensor], call: object, widths: tuple[int, int]
) -> None:
    arguments = (parents["plain"], widths, digits[0]) if call is shrink else (parents["plain"], widths)
    with pytest.raises(UserError, match="inherit takes either"):
        call(*arguments)  # type: ignore[operator]


@EVERY
def test_the_price_of_a_refit_is_what_torch_counts(family: str) -> None:
    plan, widths = FAMILIES[family]
    parent = build(plan.plan(widths, ImageShape(3, 16, 16), 10), 0)
    blueprint = parent.blueprint.resized([6] * len(widths))
    child, kept = build(blueprint, 0), dict.fromkeys(blueprint.readouts.values(), torch.arange(6))
    with FlopCounterMode(display=False) as counter:
        refit(parent, child, kept, torch.rand(96, 3, 16, 16))
    assert refit_macs(parent.blueprint, blueprint, 96) == pytest.approx(counter.get_total_flops() / 2, rel=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda net, widths: shrink(net, widths, torch.rand(8, 1, 8, 8)),
        grow,
        lambda net, widths: inherit(net, widths, torch.rand(8, 1, 8, 8)),
    ],
)
def test_another_network_or_number_of_layers_is_the_users_to_mend(
    parents: dict[str, Network], make: Callable[..., Network]
) -> None:
    with pytest.raises(UserError, match="a Sequential has no plan to be resized by"):
        make(torch.nn.Sequential(), [4, 4])
    with pytest.raises(UserError, match="1 widths for 2 layers"):
        make(parents["plain"], [4])


def test_growing_is_free_and_shrinking_more_than_a_pass() -> None:
    blueprint = Plain(kernel_size=3).plan((6, 8), ImageShape(1, 8, 8), 10)
    assert inherit_macs(blueprint, [6, 9], 100) == 0
    assert inherit_macs(blueprint, [5, 9], 100) > 100 * blueprint.cost.macs
