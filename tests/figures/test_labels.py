from __future__ import annotations

import math

import numpy as np
import pytest

from phashopt.figures.labels import amount, group_letter, group_ranks, layer_label, percent


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("width_00", "Layer 1 (width_00)"),
        ("width_12", "Layer 13 (width_12)"),
        ("kernels", "kernels"),
        ("xwidth_0", "xwidth_0"),
    ],
)
def test_layers_count_from_one(name: str, label: str) -> None:
    assert layer_label(name) == label


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (999.7, "1.00 k"), (1000, "1.00 k"), (12_345, "12.3 k"), (999_499, "999 k"),
     (999_600, "1.00 M"), (1_510_000, "1.51 M"), (2.5e9, "2.50 G"), (-1500, "-1.50 k"), (math.nan, "-"), (None, "-")],
)  # fmt: skip
def test_amounts_have_three_digits(number: float | None, text: str) -> None:
    assert amount(number) == text


@pytest.mark.parametrize(("share", "text"), [(0.972, "97.2%"), (1.0, "100.0%"), (math.inf, "-"), (None, "-")])
def test_percent(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_letters_are_distinct_and_grow_like_spreadsheet_columns() -> None:
    letters = [group_letter(rank) for rank in range(26 + 26 * 26)]
    assert len(set(letters)) == len(letters)
    assert (letters[0], letters[25], letters[26], letters[51], letters[-1]) == ("A", "Z", "AA", "AZ", "ZZ")


def test_groups_rank_by_size_then_by_first_kernel_without_singles_and_dead() -> None:
    groups = np.array([5, 3, 3, -1, 7, 5, 9, 9, 9, -1])
    assert group_ranks(groups) == {9: 0, 5: 1, 3: 2}


def test_renaming_clusters_moves_no_rank() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 12, 40)
    names = generator.permutation(100)[:12]
    renamed = {int(names[cluster]): rank for cluster, rank in group_ranks(groups).items()}
    assert group_ranks(names[groups]) == renamed
