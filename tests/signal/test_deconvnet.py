from __future__ import annotations

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from captum.attr import NeuronDeconvolution
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import phashopt.signal.deconvnet as under_test
from phashopt.errors import UserError
from phashopt.signal.deconvnet import IN_FLIGHT, Deconvnet, has_rules, plant, walk_by_autograd, walk_by_rules

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning"),
]
WITH_RULES = ["chain", "residual", "preactivation", "gated"]


def everything(network: nn.Module, images: Tensor, layer: str, **settings) -> Tensor:
    deconvnet = Deconvnet(network, images, [layer], **settings)
    return torch.cat(list(deconvnet.reconstruct(layer, range(deconvnet.width(layer)))))


@pytest.mark.parametrize("name", WITH_RULES)
@pytest.mark.parametrize("size", [14, 17])
def test_explicit_rules_equal_autograd(build, name: str, size: int) -> None:
    deconvnet = Deconvnet(*build(name, size=size))
    for unit in deconvnet._units.values():
        channels = torch.arange(unit.maps.shape[1])
        start, cotangent = plant(unit.end, unit.maps, channels)
        expected = walk_by_autograd(start, deconvnet._tape.leaf, cotangent)
        assert has_rules(start.lineage())
        for step in (1, 5000, 1 << 30):
            ours = walk_by_rules(start.lineage(), {start: cotangent.clone()}, step)
            torch.testing.assert_close(ours, expected)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(
    ("name", "layer", "seen"),
    [
        ("chain", "0", "2"),
        ("chain", "4", "5"),
        ("chain", "7", "9"),
        ("residual_out_of_place", "0.conv1", "0.relu"),
        ("residual_out_of_place", "1.conv1", "1.relu"),
        ("residual_out_of_place", "0", "0.last"),
        ("residual_out_of_place", "1.last", "1.last"),
    ],
)
def test_captum_agrees(build, name: str, layer: str, seen: str) -> None:
    network, images = build(name)
    ours = everything(network, images, layer)
    oracle = NeuronDeconvolution(network, network.get_submodule(seen))
    for channel, maps in enumerate(ours):
        leaf = images.clone().requires_grad_()
        theirs = oracle.attribute(leaf, lambda out, k=channel: 0.5 * (out[:, k] ** 2).sum((1, 2)))
        torch.testing.assert_close(maps, theirs)


def test_in_place_equals_out_of_place(build) -> None:
    network, images = build("residual")
    twin, _ = build("residual_out_of_place")
    for layer in ("0.conv2", "0", "1.conv1", "1.down.0", "1.relu"):
        other = layer.replace("relu", "last")
        torch.testing.assert_close(everything(network, images, layer), everything(twin, images, other))


def test_a_preactivation_block_rectifies_its_own_branch_only(build) -> None:
    network, images = build("preactivation")
    stem, bn, branch, head = network.stem, network.bn, network.branch, network.head
    maps = network(images).clamp(min=0)
    scale = (bn.weight / (bn.running_var + bn.eps).sqrt())[:, None, None]
    for channel, ours in enumerate(everything(network, images, "head")):
        down = F.conv_transpose2d(maps[:, [channel]], head.weight[[channel]], padding=1)
        through = F.conv_transpose2d(down, branch.weight, padding=1).clamp(min=0) * scale
        torch.testing.assert_close(ours, F.conv_transpose2d(down + through, stem.weight, padding=1))


def test_a_gate_is_a_constant(build) -> None:
    network, images = build("gated")
    first = F.silu(network.first(images))
    gate = network.excite(F.silu(network.squeeze(first.mean((2, 3), keepdim=True)))).sigmoid()
    maps = F.silu(network.second(first * gate)).clamp(min=0)
    for channel, ours in enumerate(everything(network, images, "second")):
        down = F.conv_transpose2d(maps[:, [channel]], network.second.weight[[channel]], padding=1)
        expected = F.conv_transpose2d((down * gate).clamp(min=0), network.first.weight, padding=1)
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", ["chain", "residual", "shuffled", "mobile", "dense"])
def test_reconstruction_is_homogeneous(build, name: str) -> None:
    deconvnet = Deconvnet(*build(name))
    unit = deconvnet._units[deconvnet.layers[-1]]
    start, cotangent = plant(unit.end, unit.maps, torch.arange(unit.maps.shape[1]))
    tripled, plain = (deconvnet._walk_back(start, factor * cotangent) for factor in (3, 1))
    torch.testing.assert_close(tripled, 3 * plain)


@pytest.mark.parametrize("name", ["chain", "mobile", "residual", "dense", "shuffled"])
@pytest.mark.parametrize("budget", [1, 200_000, 1 << 30])
def test_chunks_change_nothing(build, name: str, budget: int) -> None:
    network, images = build(name)
    deconvnet = Deconvnet(network, images, budget=budget)
    for layer in deconvnet.layers:
        for channel in range(deconvnet.width(layer)):
            looped = torch.cat(list(deconvnet.reconstruct(layer, [channel])))
            batched = torch.cat(list(deconvnet.reconstruct(layer, range(deconvnet.width(layer)))))[[channel]]
            torch.testing.assert_close(looped, batched)


@pytest.mark.parametrize("name", ["chain", "residual", "shuffled", "dense"])
def test_threads_change_nothing(build, name: str) -> None:
    network, images = build(name)
    layer = Deconvnet(network, images).layers[-1]
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(everything(network, images, layer))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(*results)


def test_a_small_budget_means_one_channel_at_a_time(build) -> None:
    network, images = build("chain")
    assert [len(chunk) for chunk in Deconvnet(network, images, ["7"], budget=1).reconstruct("7", range(7))] == [1] * 7


class Largest(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that any operation made."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return made


@pytest.mark.parametrize("width", [8, 32, 128])
def test_no_tensor_exceeds_its_share_of_the_budget(width: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(3, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU()),
    )
    share = 3 * 128 * 16 * 16 * 4  # one channel's largest map over three probes in the widest network
    deconvnet = Deconvnet(network, torch.randn(3, 3, 16, 16), budget=IN_FLIGHT * share)
    with Largest() as largest:
        for layer in deconvnet.layers:
            maps = sum(len(chunk) for chunk in deconvnet.reconstruct(layer, range(width)))
            assert maps == width
    assert largest.bytes <= max(share, network[3].weight.nbytes)


def test_without_a_relu_below_it_is_the_gradient() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Conv2d(4, 5, 3), nn.ReLU())
    network = network.double().eval()
    images = torch.randn(3, 2, 12, 12, dtype=torch.float64, requires_grad=True)
    energy = 0.5 * network(images).square().sum((0, 2, 3))
    for channel, ours in enumerate(everything(network, images, "3")):
        torch.testing.assert_close(ours, torch.autograd.grad(energy[channel], images, retain_graph=True)[0])


def test_the_top_seed_is_the_strongest_position_alone(build) -> None:
    network, images = build("chain")
    deconvnet = Deconvnet(network, images, ["0"])
    tops = torch.cat(list(deconvnet.reconstruct("0", [3], "top")))[0]
    maps = deconvnet._units["0"].maps[:, 3]
    weight = network[0].weight[3] * network[1].weight[3] / (network[1].running_var[3] + network[1].eps).sqrt()
    for image, ours in zip(maps, tops, strict=True):
        row, column = divmod(int(image.argmax()), image.shape[1])
        padded = F.pad(ours, (2, 2, 2, 2))[:, row : row + 5, column : column + 5]
        inside = F.pad(torch.ones_like(ours), (2, 2, 2, 2))[:, row : row + 5, column : column + 5]
        torch.testing.assert_close(padded, image.max() * weight * inside)
        torch.testing.assert_close(padded.square().sum(), ours.square().sum())


def test_a_unit_before_an_add_in_place_keeps_its_own_output(build) -> None:
    network, images = build("residual")
    block = network[0]
    own = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(images))))).clamp(min=0)
    torch.testing.assert_close(Deconvnet(network, images, ["0.conv2"])._units["0.conv2"].maps, own)


def test_a_blocks_name_and_its_last_relu_are_the_same_layer(build) -> None:
    network, images = build("residual")
    torch.testing.assert_close(everything(network, images, "1"), everything(network, images, "1.relu"))
    torch.testing.assert_close(Deconvnet(network, images, ["1"])._units["1"].maps, network(images))


class WrittenThroughAView(nn.Module):
    """Half of the maps are rectified in place through a slice."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.last = nn.Conv2d(4, 3, 3)
        self._in_place = in_place

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        if self._in_place:
            F.leaky_relu_(maps[:, :2])
        else:
            maps = torch.cat([F.leaky_relu(maps[:, :2]), maps[:, 2:]], 1)
        return self.last(maps)


def test_writing_through_a_view_is_seen() -> None:
    torch.manual_seed(0)
    network, twin = WrittenThroughAView(True).double(), WrittenThroughAView(False).double()
    twin.load_state_dict(network.state_dict())
    images = torch.randn(3, 1, 9, 9, dtype=torch.float64)
    torch.testing.assert_close(everything(network, images, "last"), everything(twin, images, "last"))
    assert Deconvnet(network, images).caveats("last").approximate_ops == ("leaky_relu",)


class Frozen(nn.Module):
    """A trunk under no_grad."""

    def __init__(self, is_frozen: bool) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(1, 4, 3)
        self.last = nn.Conv2d(4, 3, 3)
        self._is_frozen = is_frozen

    def forward(self, images: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self._is_frozen):
            maps = F.relu(self.trunk(images)).flatten(1).unflatten(1, (4, 7, 7))
        return self.last(maps)


def test_a_frozen_trunk_is_walked_through() -> None:
    network, twin = Frozen(True), Frozen(False)
    twin.load_state_dict(network.state_dict())
    images = torch.randn(3, 1, 9, 9)
    assert everything(twin, images, "last").abs().sum() > 0
    torch.testing.assert_close(everything(network, images, "last"), everything(twin, images, "last"))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (nn.ReLU(), ((), ())),
        (nn.ReLU6(), ((), ())),
        (nn.Identity(), ((), ())),
        (nn.SiLU(), ((), ("silu",))),
        (nn.GELU(), ((), ("gelu",))),
        (nn.LeakyReLU(0.1, inplace=True), ((), ("leaky_relu",))),
        (nn.Hardtanh(), (("hardtanh",), ())),
        (nn.Tanh(), (("tanh",), ())),
        (nn.GroupNorm(2, 4), (("group_norm",), ())),
        (nn.BatchNorm2d(4, track_running_stats=False), (("batch_norm",), ())),
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(4, 4, 1), nn.Unflatten(2, (7, 7))), ((), ())),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_exact_is_named(activation: nn.Module, expected: tuple) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), activation, nn.Conv2d(4, 2, 3)).eval()
    caveats = Deconvnet(network, torch.randn(3, 1, 9, 9)).caveats("2")
    assert (caveats.fallback_ops, caveats.approximate_ops) == expected


def test_only_what_lies_below_a_layer_is_held_against_it(build) -> None:
    deconvnet = Deconvnet(*build("mobile"))
    assert deconvnet.caveats("0").no_switches
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 3, 2))
    caveats = Deconvnet(network, torch.randn(3, 1, 9, 9)).caveats("0")
    assert (caveats.fallback_ops, caveats.no_switches) == ((), False)


def test_a_product_of_two_results_is_a_fallback() -> None:
    class Squared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            return self.last(maps * maps)

    deconvnet = Deconvnet(Squared(), torch.randn(3, 1, 9, 9))
    assert deconvnet.caveats("last").fallback_ops == ("mul",)


def test_layers_come_in_the_order_they_ran(build) -> None:
    assert Deconvnet(*build("residual")).layers == [
        *("0.conv1", "0.conv2", "0.down.0"),
        *("1.conv1", "1.conv2", "1.down.0"),
    ]


@pytest.mark.parametrize(("layer", "hint"), [("features.0", "did you mean"), ("unused", "did not run")])
def test_a_layer_that_cannot_be_read_is_named(layer: str, hint: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3))
    network.unused = nn.Sequential()
    network.forward = network[0].forward
    with pytest.raises(UserError, match=f"{layer}.*{hint}"):
        Deconvnet(network, torch.randn(3, 1, 9, 9), [layer])


def test_a_network_without_convolutions_is_refused() -> None:
    with pytest.raises(UserError, match="has no nn"):
        Deconvnet(nn.Linear(3, 2), torch.randn(3, 3))


def test_a_scripted_network_is_refused_and_not_misread() -> None:
    images = torch.randn(3, 1, 9, 9)
    scripted = torch.jit.trace(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), images)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), scripted)
    network.forward = scripted.forward
    with pytest.raises(UserError, match="unscripted"):
        Deconvnet(network, images)
    with pytest.raises(UserError, match="plain module"):
        Deconvnet(scripted, images)


class Part(nn.Module):
    """The middle runs past whoever records: as scripted code, or cut off from gradients."""

    def __init__(self, middle: nn.Module, is_cut: bool = False) -> None:
        super().__init__()
        self.first, self.middle, self.last = nn.Conv2d(1, 4, 3), middle, nn.Conv2d(4, 3, 3)
        self._is_cut = is_cut

    def forward(self, images: Tensor) -> Tensor:
        maps = self.middle(F.relu(self.first(images)))
        return self.last(maps.detach() if self._is_cut else maps)


def test_scripted_parts_are_reversed_by_their_gradient_and_named() -> None:
    torch.manual_seed(0)
    images, middle = torch.randn(3, 1, 9, 9), nn.Sequential(nn.Conv2d(4, 4, 1), nn.AvgPool2d(2, 1))
    network, twin = Part(torch.jit.trace(middle, torch.randn(3, 4, 7, 7))), Part(middle)
    network.last, network.first = twin.last, twin.first
    torch.testing.assert_close(everything(network, images, "last"), everything(twin, images, "last"))
    assert len(Deconvnet(network, images).caveats("last").fallback_ops) == 1
    assert not Deconvnet(network, images).caveats("first").fallback_ops


def test_layers_that_cannot_be_traced_to_the_images_are_named() -> None:
    deconvnet = Deconvnet(Part(nn.Identity(), is_cut=True), torch.randn(3, 1, 9, 9))
    assert (deconvnet.layers, deconvnet.unread) == (["first"], ["last"])


@pytest.mark.parametrize("name", WITH_RULES)
def test_nothing_is_left_of_a_deconvnet_that_was_let_go(build, name: str) -> None:
    """A graph of autograd's that lived on would hold its memory, and tie the weights to the stream it was made on."""
    model, images = build(name)
    gc.disable()
    try:
        deconvnet = Deconvnet(model, images)
        deconvnet.caveats(deconvnet.layers[-1])
        gone = weakref.ref(deconvnet)
        del deconvnet
        assert gone() is None
    finally:
        gc.enable()


def test_the_budget_bounds_a_chunk(build, monkeypatch) -> None:
    network, images = build("chain")
    monkeypatch.setattr(under_test, "CPU_BUDGET", 1)
    assert [len(chunk) for chunk in Deconvnet(network, images, ["7"]).reconstruct("7", [0, 5])] == [1, 1]
