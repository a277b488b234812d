from __future__ import annotations

import json

import pytest
import torch

from phashopt.networks import build
from phashopt.networks.describe import described
from phashopt.plans import Family, ImageShape, Plain, ResNet, Vgg
from phashopt.service.load_network import build as build_plainly

IMAGE = ImageShape(3, 16, 16)


@pytest.mark.parametrize(
    ("family", "widths"),
    [
        (Plain(kernel_size=3), [4, 6]),
        (Plain(batch_norm=True, pools=(0,)), [3, 5]),
        (Vgg(stages=(1, 2)), [4, 6, 5]),
        (ResNet(blocks=(1, 1)), [4, 3, 6, 5]),
    ],
)
def test_a_description_builds_the_same_network_without_ours(family: Family, widths: list[int]) -> None:
    network = build(family.plan(widths, IMAGE, 10), seed=0).eval()
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    plain = build_plainly(*json.loads(json.dumps(described(network)))).eval()
    plain.load_state_dict(network.state_dict())
    images = torch.randn(3, *IMAGE)
    assert torch.allclose(plain(images), network(images), atol=1e-6)
