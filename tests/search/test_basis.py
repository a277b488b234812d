from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from phashopt.search.basis import LEVELLING, MOVES, Basis, bottleneck, bump, levelled
from phashopt.search.others import other
from phashopt.search.space import Axis
from phashopt.search.start import Start

RATES = FloatDistribution(1e-3, 0.1, log=True)
OTHERS = {
    "learning_rate": RATES,
    "batch_size": IntDistribution(32, 128, step=32),
    "optimizer": CategoricalDistribution(("sgd", "adamw")),
}
BELIEFS = np.array([[1.0, 0.5, 2.0], [0.3, 0.0, 1.0], [0.05, 0.0, 0.1]])  # tau, gamma, luck
PARAMS = {"epochs": 6, "learning_rate": 0.01, "batch_size": 64, "optimizer": "adamw"}


def _basis(layers: int, inherits: bool = False) -> Basis:
    widths = {f"width_{index:02d}": Axis(range(8, 65, 8)) for index in range(layers)}
    return Basis(widths, Axis(range(2, 13)), {name: other(each) for name, each in OTHERS.items()}, inherits)


def _params(basis: Basis) -> dict[str, object]:
    return {**{name: 8 * (2 + index % 5) for index, name in enumerate(basis.widths)}, **PARAMS}


@pytest.mark.parametrize("layers", [1, 3, 13])
def test_parameters_survive_their_coordinates(layers: int) -> None:
    basis = _basis(layers)
    params = basis.params(basis.coordinates([_params(basis)])[0])
    assert params == pytest.approx(_params(basis))


@pytest.mark.parametrize("layers", [1, 3, 13])
@pytest.mark.parametrize("inherits", [False, True])
def test_every_feature_has_a_prior(layers: int, inherits: bool) -> None:
    basis = _basis(layers, inherits)
    features = basis.features(basis.coordinates([_params(basis)]))
    means, deviations = basis.prior(*BELIEFS, np.zeros((2, layers)))
    count = features.shape[1]
    assert means.shape == (3, 2, count)
    assert deviations.shape == (3, count)
    assert len(basis.concave) == count


@pytest.mark.parametrize("layers", [1, 3, 13])
@pytest.mark.parametrize("tau", [0.25, 2.0])
def test_tau_is_what_the_widest_network_gains_over_the_narrowest(layers: int, tau: float) -> None:
    basis = _basis(layers)
    means, _ = basis.prior(np.array([tau]), np.array([0.3]), np.array([0.05]), np.zeros((1, layers)))
    ends = np.zeros((2, basis.rest.stop + basis.starts))
    ends[1, :layers] = 1.0
    low, high = basis.features(ends) @ means[0, 0]
    assert high - low == pytest.approx(tau)


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay"])
@pytest.mark.parametrize("value", [1e-3, 0.02, 0.1])
def test_what_is_believed_of_a_value_does_not_depend_on_how_far_the_range_goes_beyond_it(
    name: str, value: float
) -> None:
    """From two decades on, the middle of the range being the same."""

    def effect(low: float, high: float) -> tuple[float, float]:
        others = {name: other(FloatDistribution(low, high, log=True))}
        basis = replace(_basis(3), others=others)
        places = basis.coordinates([_params(basis) | {name: each} for each in (0.01, value)])
        middle, there = basis.features(places)
        means, deviations = basis.prior(*BELIEFS, np.zeros((1, 3)))
        return float((there - middle) @ means[0, 0]), float((there - middle) ** 2 @ deviations[0] ** 2)

    assert effect(1e-5, 10.0) == pytest.approx(effect(1e-3, 0.1))


def test_a_lean_takes_its_share_of_one_layers_slope_and_of_nothing_else() -> None:
    basis = _basis(3)
    means, _ = basis.prior(*BELIEFS, np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    for level, leaning in means:
        assert np.flatnonzero(level != leaning).tolist() == [2]
        assert leaning[2] == pytest.approx(level[2] / 2)


def test_beliefs_side_by_side_are_those_one_by_one() -> None:
    basis, leans = _basis(13), np.linspace(-1, 1, 26).reshape(2, 13)
    together = basis.prior(*BELIEFS, leans)
    for place in range(3):
        alone = basis.prior(*(part[[place]] for part in BELIEFS), leans)
        assert all((each[place] == one[0]).all() for each, one in zip(together, alone, strict=True))


@pytest.mark.parametrize(("before", "after", "narrower"), [(1.0, 0.25, 0.75), (0.25, 1.0, 0.0), (0.5, 0.5, 0.0)])
def test_a_bottleneck_is_a_layer_narrower_than_the_one_before(before: float, after: float, narrower: float) -> None:
    basis = Basis({name: Axis((1, 2, 4, 8, 16)) for name in ("width_00", "width_01")}, None, {})
    row = basis.features(np.array([[before, after, 0.0]]))[0]
    assert bottleneck(np.array([before]), np.array([after])) == pytest.approx([narrower])
    assert row[basis.parts["falls"]] == pytest.approx([-narrower])
    assert row[basis.parts["fall"]] == pytest.approx([-narrower])


@pytest.mark.parametrize("kinds", [1, 3])
def test_bumps_are_concave_and_vanish_at_both_ends(kinds: int) -> None:
    x = np.linspace(0, 1, 41)
    bumps = bump(x[:, None], kinds)
    assert bumps.shape == (41, kinds)
    assert np.allclose(bumps[[0, -1]], 0)
    assert (np.diff(bumps, 2, axis=0) < 1e-9).all()
    assert (bumps[1:-1] > 0).all()


def test_doublings_beyond_the_longest_length_count_ever_less() -> None:
    doublings = np.linspace(0, 8, 81)
    steps = np.diff(levelled(doublings))
    assert levelled(doublings)[0] == 0
    assert steps[0] == pytest.approx(0.1, rel=LEVELLING / 10)
    assert (steps > 0).all()
    assert (np.diff(steps) < 0).all()
    assert levelled(np.array([1e3])) == pytest.approx(1 / LEVELLING)


def test_a_choice_is_coded_by_itself_alone() -> None:
    basis = _basis(1)
    row = basis.coordinates([_params(basis)])[0]
    assert row[basis.columns["optimizer"]].tolist() == [0.0, 1.0]


def test_from_scratch_a_basis_that_inherits_predicts_as_any_other() -> None:
    plain, basis = _basis(3), _basis(3, inherits=True)
    narrow, wide = (each.features(each.coordinates([_params(each)])) for each in (plain, basis))
    assert wide[0, : narrow.shape[1]].tolist() == narrow[0].tolist()
    assert not wide[0, narrow.shape[1] :].any()


@pytest.mark.parametrize(("before", "length"), [(0, 0.5), (3, 0.75), (6, 1.0), (60, 5.5)])
def test_a_childs_length_counts_from_its_first_ancestor(before: int, length: float) -> None:
    basis = _basis(3, inherits=True)
    rows = basis.coordinates([_params(basis)], [Start(before, 1.0, 0.0)])
    assert 2 ** basis.lasting(rows)[0, 0] == pytest.approx(length)


@pytest.mark.parametrize("before", [4, 8, 24])
def test_where_the_length_is_fixed_inherited_epochs_count_in_what_a_training_takes(before: int) -> None:
    searched = Basis({"width_00": Axis((8, 16))}, Axis((8,)), {}, True)
    fixed = replace(searched, length=None, usual=8)
    start, child = Start(before, 0.0, 0.0), {"width_00": 8, "epochs": 8}
    assert (fixed.coordinates([child], [start]) == searched.coordinates([child], [start])).all()
    assert fixed.left_by({"width_00": 8}, start) == searched.left_by(child, start)


@pytest.mark.parametrize(("before", "own", "length"), [(1e-3, 0.1, 0.5), (0.1, 1e-3, 1.0), (0.03, 0.03, 1.5)])
def test_epochs_at_a_rate_that_leaves_no_trace_add_no_length(before: float, own: float, length: float) -> None:
    basis = Basis({"width_00": Axis((8, 16))}, Axis(range(2, 13)), {"learning_rate": other(RATES)}, True)
    child = {"width_00": 8, "epochs": 6, "learning_rate": own}
    rows = basis.coordinates([child], [Start(12, 1.0, 0.0, {"learning_rate": before})])
    assert 2 ** basis.lasting(rows)[0, 0] == pytest.approx(length, rel=0.15)


def test_what_a_move_costs_is_halved_by_a_quarter_of_the_longest_length() -> None:
    basis = _basis(3, inherits=True)
    every = [{**_params(basis), "epochs": epochs} for epochs in (3, 6, 9)]
    moves = basis.coordinates(every, [Start(6, 2.0, 4.0)] * 3)[:, basis.rest.stop :][:, :MOVES]
    assert moves == pytest.approx(np.array([[1, 1.0, 2.0], [1, 0.5, 1.0], [1, 0.25, 0.5]]))


BEFORE = {"learning_rate": 0.001, "batch_size": 128, "optimizer": "sgd"}


@pytest.mark.parametrize(("rate", "epochs", "kept"), [(0.001, 6, 1 / 2), (0.001, 12, 1 / 3), (0.01, 6, 1 / 11)])
def test_other_parameters_last_as_far_as_trainings_went_under_them(rate: float, epochs: int, kept: float) -> None:
    basis = _basis(3, inherits=True)
    child = {**_params(basis), "epochs": epochs, "learning_rate": rate}
    own, before = (basis.coordinates([params])[0, basis.rest] for params in (child, {**child, **BEFORE}))
    ((_, *lasting),) = basis.lasting(basis.coordinates([child], [Start(6, 1.0, 0.0, BEFORE)]))
    assert lasting == pytest.approx(kept * before + (1 - kept) * own)


def test_where_no_rate_is_searched_epochs_alone_count() -> None:
    basis = Basis({"width_00": Axis((8, 16))}, Axis(range(2, 13)), {"batch_size": other(OTHERS["batch_size"])}, True)
    child = {"width_00": 8, "epochs": 3, "batch_size": 32}
    ((_, *lasting),) = basis.lasting(basis.coordinates([child], [Start(9, 1.0, 0.0, {"batch_size": 128})]))
    assert lasting == pytest.approx([-1 + 2 * 0.75])


def test_a_child_that_hardly_learns_is_as_good_as_its_parents_rate_made_it() -> None:
    basis = _basis(3, inherits=True)
    parent = {**_params(basis), **BEFORE}
    still = {**parent, "epochs": 2, "learning_rate": 0.001, "batch_size": 32, "optimizer": "adamw"}
    start = basis.left_by({**parent, "epochs": 100_000}, None)
    known, child = (basis.features(basis.coordinates([each], [start]))[0] for each in (parent, still))
    effects = slice(basis.parts["luck"].stop, basis.parts["luck"].stop + 8)
    assert child[effects] == pytest.approx(known[effects], abs=1e-3)


def test_ancestors_whose_parameters_are_not_known_leave_nothing_of_them() -> None:
    basis = _basis(3, inherits=True)
    rows = basis.coordinates([_params(basis)] * 2, [Start(6, 1.0, 0.0), None])
    assert basis.lasting(rows)[:, 1:] == pytest.approx(rows[:, basis.rest])


def test_a_grandchilds_ancestors_count_together() -> None:
    basis = _basis(3, inherits=True)
    params = _params(basis)
    first = basis.left_by({**params, "learning_rate": 0.001}, None)
    second = basis.left_by({**params, "learning_rate": 0.001}, first)
    assert first == Start(6, 0.0, 0.0, {"learning_rate": pytest.approx(0.001), "batch_size": 64, "optimizer": "adamw"})
    assert second == replace(first, epochs=12)
