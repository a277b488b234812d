from __future__ import annotations

import pytest
import torch
from torch import nn

from phashopt.inspection.caveats import caveats
from phashopt.signal import measure


@pytest.mark.parametrize(
    ("between", "words"),
    [
        ([nn.ReLU()], []),
        ([nn.Tanh()], ["plain gradient, for want of a rule: tanh "]),
        ([nn.GELU(), nn.SiLU()], ["as if they were ReLU: gelu, silu."]),
        ([nn.Conv2d(2, 2, 3, stride=2)], ["2 of 3 layers"]),
        ([nn.Softmax(1), nn.GELU()], ["softmax", "gelu"]),
    ],
)
def test_what_is_not_exact_is_said(between: list[nn.Module], words: list[str]) -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), *between, nn.Conv2d(2, 2, 3))
    said = caveats(measure(network, torch.randn(3, 1, 12, 12)))
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))
