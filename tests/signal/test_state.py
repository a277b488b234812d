from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phashopt.errors import UserError
from phashopt.signal import Probe, measure, reconstruct
from phashopt.signal.baseline import untrained
from phashopt.signal.state import recalibrated, undisturbed


class Restless(nn.Module):
    """Draws random numbers, counts its calls in a buffer, keeps a frozen norm, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.frozen = nn.BatchNorm2d(4).eval()
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.fails = False

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        shift = random.random() + np.random.random() + torch.rand(())
        maps = F.relu_(self.norm(self.frozen(self.conv1(images))) + shift)
        if self.fails:
            raise RuntimeError("midway")
        return self.conv2(self.drop(maps))


def snapshot(model: nn.Module) -> dict[str, object]:
    """Everything about a model and the random generators that a reading must not change."""
    return {
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "addresses": {name: tensor.data_ptr() for name, tensor in model.state_dict().items()},
        "versions": {name: tensor._version for name, tensor in model.named_parameters()},
        "gradients": {name: copy.deepcopy(p.grad) for name, p in model.named_parameters()},
        "needs": {name: p.requires_grad for name, p in model.named_parameters()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": {name: list(module._forward_hooks) for name, module in model.named_modules()},
        "random": [torch.get_rng_state(), random.getstate()[1], *np.random.get_state()[1:3]],
        "modes of torch": (torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")),
    }


@pytest.fixture
def model() -> Restless:
    torch.manual_seed(0)
    model = Restless()
    model.conv2.register_forward_hook(lambda module, inputs, output: None)
    model.conv1.weight.requires_grad_(False)
    model(torch.randn(4, 1, 12, 12)).sum().backward()
    return model


READINGS = {
    "measure": lambda model, images: measure(model, images, layers=["conv1", "conv2"]),
    "calibrated": lambda model, images: measure(model, images, calibration=images),
    "reconstruct": lambda model, images: reconstruct(model, images, "conv2", [1, 3]),
}


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_leaves_as_it_came(model: Restless, reading, fails: bool) -> None:
    images = torch.randn(8, 1, 12, 12)
    model.fails = fails
    before = snapshot(model)
    if fails:
        with pytest.raises(RuntimeError, match="midway"):
            reading(model, images)
    else:
        reading(model, images)
    torch.testing.assert_close(snapshot(model), before, rtol=0, atol=0, equal_nan=True)


def test_a_backward_pass_under_way_is_not_disturbed(model: Restless) -> None:
    images = torch.randn(8, 1, 12, 12)
    loss = model(images).square().mean()
    measure(model, images)
    loss.backward()


def test_the_images_leave_as_they_came(model: Restless) -> None:
    images = torch.randn(8, 1, 12, 12)
    before = images.clone()
    measure(model, images, calibration=images)
    assert torch.equal(images, before)
    assert images._version == 0
    assert not images.requires_grad


@pytest.mark.parametrize("calibrates", [False, True])
def test_training_with_and_without_readings_is_the_same(calibrates: bool) -> None:
    images, targets = torch.randn(32, 1, 12, 12), torch.randint(6, (32,))
    probe = Probe(images[:8], calibration=images if calibrates else None)
    weights = []
    for reads in (False, True):
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        model = Restless()
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        for _ in range(4):
            if reads:
                probe.measure(model)
            optimizer.zero_grad()
            F.cross_entropy(model(images).mean((2, 3)), targets).backward()
            optimizer.step()
        weights.append(model.state_dict())
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "surroundings",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["no_grad", "inference_mode", "autocast"],
)
@pytest.mark.parametrize("name", ["chain", "shuffled"])
def test_a_reading_does_not_depend_on_its_surroundings(build, name: str, surroundings) -> None:
    network, images = build(name)
    network.float()
    layer = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)][-1]
    expected = reconstruct(network, images, layer)
    with surroundings():
        torch.testing.assert_close(reconstruct(network, images, layer), expected, rtol=0, atol=0)


def test_modes_are_switched_without_the_users_train() -> None:
    class Stubborn(nn.Conv2d):
        def train(self, mode: bool = True) -> Stubborn:
            raise AssertionError

    model = nn.Sequential(Stubborn(1, 2, 3), nn.BatchNorm2d(2))
    with undisturbed(model):
        assert not any(module.training for module in model.modules())
    assert all(module.training for module in model.modules())


def test_recalibration_takes_the_statistics_of_its_images() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    images = torch.randn(600, 1, 8, 8)
    calibrated = recalibrated(model, images)
    batches = images.tensor_split(3)
    maps = [model[0](batch) for batch in batches]
    torch.testing.assert_close(calibrated[1].running_mean, torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0))
    torch.testing.assert_close(calibrated[1].running_var, torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0))
    assert not any(module.training for module in calibrated.modules())


def test_without_batch_norm_there_is_nothing_to_recalibrate() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3))
    assert recalibrated(model, torch.randn(8, 1, 8, 8)) is model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("tensor", ["conv2.weight", "norm.running_var"])
def test_a_layer_that_diverged_is_named(model: Restless, tensor: str, value: float) -> None:
    model.state_dict()[tensor].flatten()[1] = value
    with pytest.raises(UserError, match=f"^{tensor} holds NaN or Inf"):
        measure(model, torch.randn(8, 1, 12, 12))


def test_a_layer_that_overflows_is_named() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    with torch.no_grad():
        model[2].weight.fill_(1e30)
    with pytest.raises(UserError, match=r"^2 overflows"):
        measure(model, torch.randn(8, 1, 12, 12))


def test_a_compiled_network_is_read_as_the_plain_one(build) -> None:
    network, images = build("chain")
    expected = reconstruct(network, images, "7")
    compiled = torch.compile(network, backend="eager")
    torch.testing.assert_close(reconstruct(compiled, images, "_orig_mod.7"), expected, rtol=0, atol=0)
    network.compile(backend="eager")
    torch.testing.assert_close(reconstruct(network, images, "7"), expected, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_are_computed_are_copied_and_drawn_anew() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.weight_norm(nn.Conv2d(1, 4, 3)), nn.BatchNorm2d(4), nn.ReLU())
    images = torch.randn(4, 1, 9, 9)
    maps = model[0](images)
    torch.testing.assert_close(recalibrated(model, images)[1].running_mean, maps.mean((0, 2, 3)))
    assert not torch.equal(untrained(model)[0](images), maps)


def test_weights_of_inference_mode_are_refused() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Conv2d(1, 3, 3))
    with pytest.raises(UserError, match=r"^0.weight was made under torch.inference_mode"):
        measure(model, torch.randn(8, 1, 8, 8))
