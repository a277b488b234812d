from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from phashopt.inspection.maps import CHUNK, SIDE, all_maps
from phashopt.signal import reconstruct


def test_all_kernels_are_there_at_the_size_of_a_sheet() -> None:
    torch.manual_seed(0)
    network, image = nn.Conv2d(1, CHUNK + 2, 3), torch.randn(1, 1, 2 * SIDE, 9)
    whole = reconstruct(nn.Sequential(network), image, "0")[0]
    expected = F.avg_pool2d(whole, (2, 1))
    np.testing.assert_allclose(all_maps(nn.Sequential(network), "0", image, CHUNK + 2), expected, atol=1e-6)
