from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from phashopt.attribution import end_convolutions, grad_cam, gradient, guided_backprop, guided_grad_cam, logits


class Restless(nn.Module):
    """Draws random numbers, counts its calls in a buffer, works in place, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros(()))
        self.fails = False

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        maps = self.relu(self.norm(self.conv(images.mul_(2))) + torch.rand(()))
        if self.fails:
            raise RuntimeError("midway")
        return self.head(self.drop(maps).mean((2, 3)))


def snapshot(model: nn.Module) -> dict[str, object]:
    return {
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "versions": {name: tensor._version for name, tensor in model.named_parameters()},
        "gradients": {name: copy.deepcopy(p.grad) for name, p in model.named_parameters()},
        "needs": {name: p.requires_grad for name, p in model.named_parameters()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "hooks": {name: len(module._forward_hooks) for name, module in model.named_modules()},
        "random": torch.get_rng_state(),
        "grad mode": torch.is_grad_enabled(),
    }


@pytest.mark.parametrize(
    "explain",
    [gradient, guided_backprop, grad_cam, guided_grad_cam, end_convolutions, logits],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("fails", [False, True])
def test_model_and_images_leave_as_they_came(explain, fails: bool) -> None:
    torch.manual_seed(0)
    model, images = Restless(), torch.randn(4, 1, 8, 8)
    model.norm.eval()
    model.conv.weight.requires_grad_(False)
    model(images.clone()).sum().backward()
    model.fails = fails
    before, pixels = snapshot(model), images.clone()
    if fails:
        with pytest.raises(RuntimeError, match="midway"):
            explain(model, images)
    else:
        explain(model, images)
    torch.testing.assert_close(snapshot(model), before, rtol=0, atol=0)
    assert torch.equal(images, pixels)


def test_a_result_belongs_to_no_graph() -> None:
    images = torch.randn(4, 1, 8, 8, requires_grad=True)
    for explain in (gradient, guided_backprop, grad_cam, guided_grad_cam):
        assert not explain(Restless(), images).requires_grad
    assert images.grad is None
