from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from phashopt.signal.operations import Averaging, Convolution, MaxPool, Sum, fastest_layout

GEOMETRIES = [
    geometry
    for geometry in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2, 6), ((3, 3), (1, 1), (2, 4)))
    if geometry[1] <= geometry[2] * (min(geometry[4]) - 1) or geometry[4] == (1, 1)
]


def convolution(stride: int, padding: int, dilation: int, groups: int, kernel: tuple[int, int]) -> Convolution:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 6 // groups, *kernel, dtype=torch.float64, generator=generator)
    return Convolution(
        weight=weight,
        stride=(stride, stride),
        padding=(padding, padding),
        dilation=(dilation, dilation),
        groups=groups,
        plane=(10, 11),
    )


def forward(operation: Convolution, maps: Tensor) -> Tensor:
    return F.conv2d(
        maps,
        operation.weight,
        None,
        operation.stride,
        operation.padding,
        operation.dilation,
        operation.groups,
    )


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_a_convolution_and_its_reverse_are_adjoint(geometry: tuple) -> None:
    operation = convolution(*geometry)
    maps = torch.randn(2, 6, 10, 11, dtype=torch.float64)
    result = forward(operation, maps)
    cotangent = torch.randn_like(result)
    (back,) = operation.back(cotangent[None])
    torch.testing.assert_close((result * cotangent).sum(), (maps * back[0]).sum())


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_one_channel_at_a_time_equals_one_hot_maps(geometry: tuple) -> None:
    operation = convolution(*geometry)
    result = forward(operation, torch.randn(2, 6, 10, 11, dtype=torch.float64))
    channels = torch.tensor([4, 0, 5])
    maps = torch.randn_like(result)[:, channels]
    alone = torch.zeros(3, *result.shape, dtype=torch.float64)
    alone[torch.arange(3), :, channels] = maps.transpose(0, 1)
    torch.testing.assert_close(operation.back_from(maps, channels), operation.back(alone)[0])


@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if g[3] == 1], ids=str)
def test_few_input_channels_take_another_way_to_the_same_result(geometry: tuple) -> None:
    operation = convolution(*geometry)
    maps = torch.randn_like(forward(operation, torch.zeros(2, 6, 10, 11, dtype=torch.float64)))
    torch.testing.assert_close(operation._fold(maps), operation._transpose(maps))


@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if g[1] == g[2] == 1], ids=str)
def test_a_layout_changes_nothing(geometry: tuple) -> None:
    operation = convolution(*geometry)
    cotangent = torch.randn(1, *forward(operation, torch.zeros(2, 6, 10, 11, dtype=torch.float64)).shape).double()
    for layout in (torch.channels_last, torch.contiguous_format):
        laid_out = replace(operation, weight=operation.weight.contiguous(memory_format=layout), layout=layout)
        torch.testing.assert_close(laid_out._transpose(cotangent[0]), operation._transpose(cotangent[0]))


@pytest.mark.parametrize(
    ("shape", "groups", "layout"),
    [
        ((64, 64, 3, 3), 1, torch.channels_last),
        ((96, 1, 3, 3), 96, torch.channels_last),
        ((512, 512, 3, 3), 1, torch.contiguous_format),
        ((128, 4, 3, 3), 32, torch.contiguous_format),
    ],
)
def test_channels_come_last_where_a_kernel_stays_in_the_cache(
    shape: tuple[int, ...], groups: int, layout: torch.memory_format
) -> None:
    assert fastest_layout(torch.empty(shape), groups) == layout


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "ceil"),
    [(2, 2, 0, False), (2, 2, 0, True), (3, 3, 1, False), (3, 2, 1, False), (3, 1, 1, False), (3, 2, 0, True)],
)
@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_unpooling_equals_the_pools_gradient(
    kernel: int, stride: int, padding: int, ceil: bool, size: tuple[int, int]
) -> None:
    maps = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    result, switches = F.max_pool2d(maps, kernel, stride, padding, ceil_mode=ceil, return_indices=True)
    cotangent = torch.randn(4, *result.shape, dtype=torch.float64)
    (back,) = MaxPool(switches=switches, plane=size).back(cotangent)
    for alone, expected in zip(back, cotangent, strict=True):
        torch.testing.assert_close(alone, torch.autograd.grad(result, maps, expected, retain_graph=True)[0])


@pytest.mark.parametrize(
    "pool", [lambda maps: F.avg_pool2d(maps, 3, 2, 1), lambda maps: F.adaptive_avg_pool2d(maps, 3)]
)
def test_an_average_and_its_reverse_are_adjoint(pool) -> None:
    maps = torch.randn(2, 3, 10, 11, dtype=torch.float64)
    result = pool(maps)
    cotangent = torch.randn(4, *result.shape, dtype=torch.float64)
    (back,) = Averaging(forward=pool, plane=(10, 11)).back(cotangent)
    torch.testing.assert_close((result * cotangent).sum((1, 2, 3, 4)), (maps * back).sum((1, 2, 3, 4)))


def test_a_sum_gives_every_operand_all_of_it_to_keep() -> None:
    cotangent = torch.randn(1, 2, 3, 4, 4)
    first, second = Sum(operands=2).back(cotangent.clone())
    assert torch.equal(first.mul_(2), 2 * cotangent)
    assert torch.equal(second, cotangent)
