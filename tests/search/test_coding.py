from __future__ import annotations

from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from phashopt.errors import UserError
from phashopt.search.coding import Coding


@pytest.mark.parametrize(
    ("distribution", "values"),
    [
        (IntDistribution(4, 8), [4, 5, 6, 7, 8]),
        (IntDistribution(8, 88, step=16), [8, 24, 40, 56, 72, 88]),
        (IntDistribution(1, 4, log=True), [1, 2, 3, 4]),
        (CategoricalDistribution([32, 8, 16]), [8, 16, 32]),
    ],
)
def test_an_axis_lists_exactly_what_optuna_may_suggest(distribution: BaseDistribution, values: list[int]) -> None:
    axis = Coding({}).axis("width_00", distribution)
    assert axis is not None
    assert list(axis.values) == values


@pytest.mark.parametrize(
    "distribution",
    [
        FloatDistribution(1, 8),
        IntDistribution(0, 8),
        CategoricalDistribution(["a", 8]),
        CategoricalDistribution([True, False]),
    ],
)
def test_what_is_no_kernel_count_has_no_axis(distribution: BaseDistribution) -> None:
    assert Coding({}).axis("width_00", distribution) is None


def test_a_grid_maps_indices_to_values_and_back() -> None:
    coding = Coding({"width_00": [4, 8, 16]})
    assert coding.decode({"width_00": 2, "epochs": 3}) == {"width_00": 16, "epochs": 3}
    assert coding.encode({"width_00": 16, "epochs": 3}) == {"width_00": 2, "epochs": 3}
    assert coding.decode({"width_00": 7}) == {}


@pytest.mark.parametrize(
    ("stored", "true"),
    [(8, 8), (8.0, 8), ("8", 8), (0, None), (-4, None), (None, None), (2.5, 2.5), ("short", "short")],
)
@pytest.mark.parametrize("name", ["width_00", "epochs"])
def test_less_than_one_kernel_or_epoch_is_none(name: str, stored: Any, true: Any) -> None:
    assert Coding({}, ["width_00"]).decode({name: stored, "decay": 0}) == {"decay": 0} | ({name: true} if true else {})


@pytest.mark.parametrize("distribution", [IntDistribution(4, 16), IntDistribution(0, 3), FloatDistribution(0, 2)])
def test_a_grid_parameter_must_be_suggested_as_its_index(distribution: BaseDistribution) -> None:
    with pytest.raises(UserError, match=r"suggest_int\('width_00', 0, 2\)"):
        Coding({"width_00": [4, 8, 16]}).axis("width_00", distribution)


@pytest.mark.parametrize("values", [[], [8, 4], [4, 4], [0, 4]])
def test_a_grid_that_is_no_ascending_list_of_counts_is_refused(values: list[int]) -> None:
    with pytest.raises(UserError, match="ascending"):
        Coding({"width_00": values})
