from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedGradCam, LayerGradCam
from torch import Tensor, nn

from phashopt import reconstruct
from phashopt.attribution import end_convolutions, grad_cam, gradient, guided_backprop, guided_grad_cam, upsampled
from phashopt.errors import UserError

from .conftest import Build

TARGET = [2, 0, 1, 2]
LAYERS = {
    "chain": ["0", "1", "3", "4", "6"],
    "chain_in_place": ["0", "3"],
    "residual": ["stem", "first", "second"],
    "residual_in_place": ["stem", "first"],
    "functional": ["conv.0", "conv.2", "conv.4"],
    "gated": ["stem", "last"],
}


@pytest.mark.parametrize(("name", "layer"), [(name, layer) for name, layers in LAYERS.items() for layer in layers])
def test_grad_cam_is_captums(build: Build, name: str, layer: str) -> None:
    model, images = build(name)
    oracle = LayerGradCam(model, model.get_submodule(layer))
    expected = oracle.attribute(images, torch.tensor(TARGET), relu_attributions=True)
    torch.testing.assert_close(grad_cam(model, images, layer, TARGET), expected)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize(
    ("name", "layer"), [("chain", "0"), ("chain", "3"), ("residual", "stem"), ("residual", "first")]
)
def test_guided_grad_cam_is_captums(build: Build, name: str, layer: str) -> None:
    model, images = build(name)
    oracle = GuidedGradCam(model, model.get_submodule(layer))
    expected = oracle.attribute(images, torch.tensor(TARGET), interpolate_mode="bilinear")
    torch.testing.assert_close(guided_grad_cam(model, images, layer, TARGET), expected)


@pytest.mark.parametrize("name", ["chain_in_place", "residual_in_place", "functional", "gated"])
def test_guided_grad_cam_is_the_product(build: Build, name: str) -> None:
    model, images = build(name)
    heat = F.interpolate(grad_cam(model, images), images.shape[2:], mode="bilinear", align_corners=False)
    torch.testing.assert_close(guided_grad_cam(model, images), guided_backprop(model, images) * heat)


def test_grad_cam_by_hand() -> None:
    """Two maps, score = 3 mean(A_0) - mean(A_1) for class 0: alpha = (3, -1) / Z."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight[:] = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)
        model[3].weight[:] = torch.tensor([[3.0, -1.0]])
    image = torch.tensor([[[[1.0, 2.0], [-1.0, 0.5]]]])
    expected = ((3 * image - 2 * image) / 4).clamp(min=0)
    torch.testing.assert_close(grad_cam(model, image), expected)


def test_in_place_relus_change_nothing(build: Build) -> None:
    model, images = build("chain")
    twin, _ = build("chain_in_place")
    twin.load_state_dict(model.state_dict())
    for layer in ("0", "3", "4"):
        assert torch.equal(grad_cam(model, images, layer), grad_cam(twin, images, layer))


@pytest.mark.parametrize(
    ("name", "ends"),
    [("chain", ("0", "3")), ("residual", ("stem", "second")), ("gated", ("stem", "last"))],
)
def test_first_and_last_convolution_are_found_as_they_run(build: Build, name: str, ends: tuple[str, str]) -> None:
    model, images = build(name)
    assert end_convolutions(model, images) == ends
    assert torch.equal(grad_cam(model, images), grad_cam(model, images, ends[1]))


def test_where_all_maps_are_single_pixels_the_last_is_taken() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 4), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.Flatten())
    assert end_convolutions(model, torch.randn(2, 1, 4, 4)) == ("0", "2")


def test_below_no_relu_deconvnet_guided_backprop_and_gradient_agree() -> None:
    """The score sum(A_k^2) / 2 has the gradient A_k at the maps, from where a deconvnet starts."""

    class Energy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Conv2d(2, 4, 3), nn.AvgPool2d(2), nn.Conv2d(4, 5, 3, padding=1))

        def forward(self, images: Tensor) -> Tensor:
            return self.trunk(images).clamp(min=0).square().sum((2, 3)) / 2

    torch.manual_seed(0)
    model, images = Energy().double(), torch.randn(3, 2, 9, 9, dtype=torch.float64)
    for channel in range(5):
        pictures = reconstruct(model, images, "trunk.2", [channel])[:, 0]
        torch.testing.assert_close(gradient(model, images, channel), pictures)
        torch.testing.assert_close(guided_backprop(model, images, channel), pictures)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("lst", "did you mean 'last'"),
        ("unused", "did not run"),
        ("side", "does not lead to the class scores"),
        ("linear", r"no \(N, K, H, W\) maps"),
    ],
)
def test_a_layer_that_cannot_be_explained_is_one_line(layer: str, message: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused, self.last, self.side = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)
            self.linear = nn.Linear(2, 3)

        def forward(self, images: Tensor) -> Tensor:
            self.side(images)
            return self.linear(self.last(images).mean((2, 3)))

    with pytest.raises(UserError, match=message):
        grad_cam(Net(), torch.randn(2, 1, 4, 4), layer)


def test_a_model_without_convolutions_is_refused() -> None:
    with pytest.raises(UserError, match=r"no nn\.Conv2d"):
        grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), torch.randn(2, 1, 4, 4))


def test_upsampling_keeps_a_constant() -> None:
    torch.testing.assert_close(upsampled(torch.full((2, 1, 3, 4), 0.7), (11, 9)), torch.full((2, 1, 11, 9), 0.7))


class Trunk(nn.Module):
    """A residual block with everything in place, and pools and heads behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(12, 4)

    def features(self, images: Tensor) -> Tensor:
        maps = self.relu(self.stem(images))
        out = self.norm(self.conv(maps))
        out += maps
        return torch.cat([self.relu(out), out * 2], 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(F.max_pool2d(self.features(images), 2), 1).flatten(1))


def test_activated_maps_are_what_the_next_pool_takes() -> None:
    torch.manual_seed(0)
    model, images = Trunk().double().eval(), torch.randn(3, 2, 10, 11, dtype=torch.float64)
    maps = model.features(images).detach().requires_grad_()
    scores = model.head(F.adaptive_avg_pool2d(F.max_pool2d(maps, 2), 1).flatten(1))
    (slope,) = torch.autograd.grad(scores.max(1).values.sum(), maps)
    expected = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).clamp(min=0).detach()
    torch.testing.assert_close(grad_cam(model, images, activated=True), expected)


def test_activated_maps_end_at_the_next_convolution() -> None:
    torch.manual_seed(0)
    model, images = Trunk().double().eval(), torch.randn(3, 2, 10, 11, dtype=torch.float64)
    maps = F.relu(model.stem(images)).detach().requires_grad_()
    out = model.norm(model.conv(maps)) + maps
    pooled = F.max_pool2d(torch.cat([out.relu(), out.relu() * 2], 1), 2).mean((2, 3))
    (slope,) = torch.autograd.grad(model.head(pooled).max(1).values.sum(), maps)
    expected = (slope.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).clamp(min=0).detach()
    torch.testing.assert_close(grad_cam(model, images, "stem", activated=True), expected)


@pytest.mark.parametrize(("layer", "activation"), [("0", "1"), ("3", "5")])
def test_activated_is_captum_at_the_activation(build: Build, layer: str, activation: str) -> None:
    model, images = build("chain")
    oracle = LayerGradCam(model, model.get_submodule(activation))
    expected = oracle.attribute(images, torch.tensor(TARGET), relu_attributions=True)
    torch.testing.assert_close(grad_cam(model, images, layer, TARGET, activated=True), expected)
