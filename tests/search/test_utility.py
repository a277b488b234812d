from __future__ import annotations

import numpy as np
import pytest

from phashopt.search.basis import Array, Basis
from phashopt.search.space import Axis
from phashopt.search.utility import MOST, Grid, Indices, Utility

WORLDS = 5


@pytest.fixture(params=[1, 3, 9])
def basis(request: pytest.FixtureRequest) -> Basis:
    """Layers whose axes are not equally long."""
    return Basis({f"width_{layer:02d}": Axis(range(4, 33 + 4 * layer, 4)) for layer in range(request.param)}, None, {})


@pytest.fixture
def weights(basis: Basis) -> Array:
    """Any numbers at all."""
    size = basis.features(np.zeros((1, basis.rest.stop + basis.starts))).shape[1]
    return np.random.default_rng(1).standard_normal((WORLDS, size))


def _networks(utility: Utility, count: int) -> Indices:
    return np.random.default_rng(2).integers(0, utility.grid.last + 1, (WORLDS, count, len(utility.grid.last)))


def _predicted(basis: Basis, utility: Utility, networks: Indices, weights: Array) -> Array:
    """(S, M) by the features, with what does not depend on widths taken away."""
    places = utility.grid.places_at(networks).reshape(-1, basis.layers)
    features = basis.features(np.concatenate([places, np.zeros((len(places), 1))], 1))
    worth = features.reshape(WORLDS, -1, features.shape[1]) @ weights[..., None]
    return np.asarray(worth[..., 0] - weights[:, basis.parts["level"]])


def test_it_is_what_the_features_predict(basis: Basis, weights: Array) -> None:
    utility = Utility.of(basis, weights)
    networks = _networks(utility, 20)
    assert utility(networks) == pytest.approx(_predicted(basis, utility, networks, weights))


def test_along_a_layer_it_differs_as_from_network_to_network(basis: Basis, weights: Array) -> None:
    utility = Utility.of(basis, weights)
    networks = _networks(utility, 4)
    along = utility.along(networks)
    for layer, last in enumerate(utility.grid.last):
        for index in range(last + 1):
            moved = networks.copy()
            moved[..., layer] = index
            own = np.take_along_axis(along[..., layer, :], networks[..., [layer]], -1)[..., 0]
            assert along[..., layer, index] - own == pytest.approx(utility(moved) - utility(networks))
        assert (along[..., layer, last + 1 :] == -np.inf).all()


def test_a_steeper_one_adds_to_every_place(basis: Basis, weights: Array) -> None:
    utility = Utility.of(basis, weights)
    networks, slopes = _networks(utility, 7), np.arange(WORLDS, dtype=float)
    added = slopes[:, None] * utility.grid.places_at(networks).sum(-1)
    assert utility.steeper(slopes)(networks) == pytest.approx(utility(networks) + added)


@pytest.mark.parametrize(("axis", "apart"), [(Axis(range(1, 4097)), 0.1), (Axis(range(8, 513)), 0.05)])
def test_of_thousands_of_widths_some_stand_for_all(axis: Axis, apart: float) -> None:
    widths = Grid.of(Basis({"width_00": axis}, None, {})).widths[0]
    assert len(widths) <= MOST
    assert {*widths.tolist()} <= {*axis.values}
    assert (widths[0], widths[-1]) == (axis.values[0], axis.values[-1])
    assert (np.diff(widths) <= 1 + apart * widths[:-1]).all()
