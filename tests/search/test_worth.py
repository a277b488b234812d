from __future__ import annotations

import numpy as np
import pytest

from phashopt.search.model import Model
from phashopt.search.strategy import _signal, stated_weight
from phashopt.search.worth import layer_worth


def test_nothing_is_won_where_nothing_changes(model: Model) -> None:
    params = model.finished[3].params
    for name, nats in layer_worth(model, params).items():
        place = list(model.space.widths[name].values).index(params[name])
        assert nats[:, place] == pytest.approx(0, abs=1e-12)


def test_the_layer_that_matters_is_worth_most(model: Model) -> None:
    worth = layer_worth(model, model.finished[3].params)
    spans = {name: nats[1, -1] - nats[1, 0] for name, nats in worth.items()}
    assert max(spans, key=lambda name: spans[name]) == "width_01"
    assert spans["width_01"] > 0.3


def test_the_middle_lies_within_the_interval(model: Model) -> None:
    for name, nats in layer_worth(model, model.finished[0].params).items():
        assert nats.shape == (3, len(model.space.widths[name].values))
        assert (np.diff(nats, axis=0) >= 0).all()


def test_the_weight_that_a_decision_states_can_be_read_again(model: Model) -> None:
    assert stated_weight(f"Why. {_signal(model)} Without.") == pytest.approx(model.posterior.signal_weight, abs=0.005)
    assert stated_weight("To begin with.") is None
