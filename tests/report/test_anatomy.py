from __future__ import annotations

import numpy as np

from phashopt.figures.labels import TIMES
from phashopt.networks import build
from phashopt.plans import Plain, ResNet
from phashopt.report.anatomy import map_sizes, pooling_window, steps
from phashopt.report.images import of_classes
from phashopt.training.data import DataSet


def test_a_window_is_the_pooling_that_really_happens(digits: DataSet) -> None:
    network = build(Plain(kernel_size=3).plan([8, 8], digits.shape, 10), 0)
    window = pooling_window(network, of_classes(digits))
    assert window is not None
    blocks = window.before.reshape(2, 2, 2, 2).swapaxes(1, 2)
    np.testing.assert_array_equal(window.pooled, blocks.max((2, 3)))
    np.testing.assert_array_equal(np.sort(window.before[window.switches]), np.sort(window.pooled.ravel()))
    np.testing.assert_array_equal(np.sort(window.unpooled[window.switches]), np.sort(window.returned.ravel()))
    assert not window.unpooled[~window.switches].any()
    assert window.returned.max() > 0
    assert window.before.max() > 0


def test_a_network_that_pools_nothing_has_no_window(digits: DataSet) -> None:
    network = build(ResNet(blocks=(1, 1)).plan([4, 4, 4, 4], digits.shape, 10), 0)
    assert pooling_window(network, of_classes(digits)) is None


def test_every_part_is_a_step_and_every_layer_has_a_size(digits: DataSet) -> None:
    plan = Plain(kernel_size=3).plan([8, 12], digits.shape, 10)
    drawn = steps(plan)
    assert len(drawn) == len(plan.parts)
    assert [step.pools for step in drawn] == [False, True, False, True, False]
    assert map_sizes(plan) == {"width_00": f"8{TIMES}8", "width_01": f"4{TIMES}4"}
    residual = ResNet(blocks=(1, 1)).plan([4, 4, 4, 4], digits.shape, 10)
    assert map_sizes(residual)["width_03"] == f"4{TIMES}4"
