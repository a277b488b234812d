from __future__ import annotations

import pytest
import torch

from phashopt.training.data import cut, move
from phashopt.training.recipe import Augmentation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (200, 3, 6, 9), dtype=torch.uint8, generator=generator(7))


def expected_moves(image: torch.Tensor, shift: int, mirror: bool) -> list[torch.Tensor]:
    padded = torch.nn.functional.pad(image[None].float(), (shift,) * 4, mode="reflect")[0].to(image.dtype)
    _, height, width = image.shape
    views = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * shift + 1)
        for left in range(2 * shift + 1)
    ]
    return views + [view.flip(2) for view in views] * mirror


@pytest.mark.parametrize(("shift", "mirror"), [(0, True), (1, False), (2, True), (2, False)])
def test_every_move_is_a_crop_of_the_reflected_image(pixels: torch.Tensor, shift: int, mirror: bool) -> None:
    moved = move(pixels, Augmentation(shift=shift, mirror=mirror), generator())
    kinds = set()
    for image, result in zip(pixels, moved, strict=True):
        matches = [
            index for index, view in enumerate(expected_moves(image, shift, mirror)) if torch.equal(view, result)
        ]
        assert matches
        kinds.update(matches)
    assert len(kinds) > (2 * shift + 1) ** 2 * (1 + mirror) * 0.8


def test_off_is_off(pixels: torch.Tensor) -> None:
    off = Augmentation(shift=0, mirror=False, cutout=0)
    assert move(pixels, off, generator()) is pixels
    assert cut(pixels, off, generator()) is pixels


def test_cutout_blanks_one_square_all_channels_alike() -> None:
    images = torch.ones(500, 2, 8, 8)
    hidden = cut(images, Augmentation(cutout=3), generator()) == 0
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    rows, columns = hidden[:, 0].any(2).sum(1), hidden[:, 0].any(1).sum(1)
    assert torch.equal(hidden[:, 0].sum((1, 2)), rows * columns)
    assert rows.max() == columns.max() == 3
    assert rows.min() >= 2  # the centre lies inside


def test_the_generator_fixes_what_happens(pixels: torch.Tensor) -> None:
    first, again, other = (move(pixels, Augmentation(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
