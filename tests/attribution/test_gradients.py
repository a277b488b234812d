from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, Saliency
from torch import Tensor, nn

from phashopt.attribution import gradient, guided_backprop, logits
from phashopt.errors import UserError

from .conftest import NETWORKS, Build, Residual

TARGET = [2, 0, 1, 2]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_is_captums(build: Build, name: str) -> None:
    model, images = build(name)
    expected = Saliency(model).attribute(images, torch.tensor(TARGET), abs=False)
    torch.testing.assert_close(gradient(model, images, TARGET), expected)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
@pytest.mark.parametrize("name", ["chain", "residual", "modular"])
@pytest.mark.parametrize("seed", range(3))
def test_guided_backprop_is_captums(build: Build, name: str, seed: int) -> None:
    model, images = build(name, seed)
    expected = GuidedBackprop(model).attribute(images, torch.tensor(TARGET))
    torch.testing.assert_close(guided_backprop(model, images, TARGET), expected)


@pytest.mark.parametrize(("ours", "plain"), [("functional", "modular"), ("residual_in_place", "residual")])
def test_however_a_relu_is_called_it_is_guided(build: Build, ours: str, plain: str) -> None:
    model, images = build(ours)
    twin, _ = build(plain)
    twin.load_state_dict(model.state_dict())
    torch.testing.assert_close(guided_backprop(model, images, TARGET), guided_backprop(twin, images, TARGET))


def test_a_branch_around_a_relu_is_not_cut() -> None:
    """score = w . (x + a relu(x)): the branch passes max(w a, 0) where x > 0, the path around it w itself."""

    class Preactivation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6))
            self.scale = nn.Parameter(torch.randn(6))
            self.relu = nn.ReLU()

        def forward(self, images: Tensor) -> Tensor:
            flat = images.flatten(1)
            return ((flat + self.scale * self.relu(flat)) @ self.weight)[:, None]

    torch.manual_seed(0)
    model, images = Preactivation(), torch.randn(5, 1, 2, 3)
    branch = (model.weight * model.scale).clamp(min=0).view(1, 2, 3) * (images > 0)
    expected = (model.weight.view(1, 2, 3) + branch).detach()
    torch.testing.assert_close(guided_backprop(model, images), expected)


@pytest.mark.parametrize("cut", [F.relu6, lambda z: F.hardtanh(z, 0.0, 6.0), lambda z: z.clamp(0, 6)])
def test_relu6_passes_positive_gradients_between_its_bounds(cut) -> None:
    class Net(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (cut(images) * slope).flatten(1).sum(1, keepdim=True)

    slope = torch.tensor([[-1.0, 2.0, 3.0, 4.0]])
    images = torch.tensor([[[[1.0, 1.0, -1.0, 7.0]]]])
    torch.testing.assert_close(guided_backprop(Net(), images), torch.tensor([[[[0.0, 2.0, 0.0, 0.0]]]]))


def test_without_a_relu_guided_backprop_is_the_gradient() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.SiLU(), nn.Flatten(), nn.LazyLinear(4)).double()
    images = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    model(images)
    torch.testing.assert_close(guided_backprop(model, images), gradient(model, images), rtol=0, atol=0)


def test_images_are_explained_one_by_one(build: Build) -> None:
    model, images = build("residual")
    alone = torch.cat(
        [guided_backprop(model, image[None], target) for image, target in zip(images, TARGET, strict=True)]
    )
    torch.testing.assert_close(guided_backprop(model, images, TARGET), alone)


@pytest.mark.parametrize("explain", [gradient, guided_backprop])
def test_the_default_target_is_the_best_class(build: Build, explain) -> None:
    model, images = build("chain")
    best = model(images).argmax(1)
    assert torch.equal(logits(model, images), model(images))
    assert torch.equal(explain(model, images), explain(model, images, best))
    assert torch.equal(explain(model, images, 1), explain(model, images, [1] * 4))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (9, "classes 0 to 4"),
        (-1, "classes 0 to 4"),
        ([0, 1], "one for each of the 4 images"),
        (0.5, "one for each of the 4 images"),
    ],
)
def test_a_wrong_target_is_one_line(build: Build, target, message: str) -> None:
    with pytest.raises(UserError, match=message):
        gradient(*build("chain"), target)


def test_frozen_weights_are_no_obstacle(build: Build) -> None:
    model, images = build("chain")
    expected = gradient(model, images)
    assert torch.equal(gradient(model.requires_grad_(False), images), expected)


def test_only_classifiers_are_explained() -> None:
    with pytest.raises(UserError, match="Conv2d gives no class scores"):
        gradient(nn.Conv2d(2, 3, 3), torch.randn(3, 2, 8, 8))


@pytest.mark.parametrize("blocks", [lambda images: images.detach(), lambda images: images.round().int().float()])
def test_a_model_that_lets_no_gradient_through_is_named(blocks) -> None:
    class Closed(Residual):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(blocks(images))

    with pytest.raises(UserError, match="Closed lets no gradient through"):
        gradient(Closed(), torch.randn(2, 2, 8, 8))


@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode])
def test_an_attribution_does_not_depend_on_its_surroundings(build: Build, surroundings) -> None:
    model, images = build("residual")
    expected = guided_backprop(model, images)
    with surroundings():
        assert torch.equal(guided_backprop(model, images), expected)


@pytest.mark.parametrize("images", [torch.zeros(3, 8, 8), torch.zeros(2, 2, 8, 8, dtype=torch.uint8)])
def test_images_of_another_kind_are_refused(images: Tensor) -> None:
    with pytest.raises(UserError, match="float tensors"):
        gradient(Residual(), images)


def test_a_network_that_diverged_is_refused() -> None:
    model = Residual()
    model.stem.weight.data[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"stem\.weight holds NaN"):
        guided_backprop(model, torch.randn(2, 2, 8, 8))
