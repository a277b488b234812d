from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from phashopt.errors import UserError
from phashopt.search.history import Past
from phashopt.search.model import Model
from phashopt.search.predict import best_under, ranked
from phashopt.search.record import Record
from phashopt.search.space import Space

MakeSpace = Callable[..., Space]
MakeRecord = Callable[..., Record]
Cost = Callable[[Mapping[str, int]], int]


@pytest.fixture
def model(make_space: MakeSpace, make_record: MakeRecord) -> Model:
    """Kernels are worth most in the second layer; one poor network was lucky."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(24):
        widths = 8 * rng.integers(1, 6, 3)
        value = 1 - 0.3 * (8 / widths[1]) ** 0.7 * float(np.exp(0.02 * rng.standard_normal()))
        records.append(make_record(number, widths.tolist(), (0.1,) * 3, value=value, epochs=16))
    records.append(make_record(24, (40, 8, 40), (0.1,) * 3, value=0.97, epochs=16))
    return Model(make_space(), Past(records, [], [], {}))


def test_a_lucky_trial_is_not_ranked_by_its_luck(model: Model) -> None:
    first, _ = ranked(model)[0]
    assert max(model.finished, key=lambda record: record.score).number == 24
    assert first.number != 24
    assert first.params["width_01"] == 40


def test_predictions_are_near_what_was_reached(model: Model) -> None:
    for record, prediction in ranked(model):
        assert prediction.low <= prediction.value <= prediction.high
        if record.number != 24:
            assert prediction.value == pytest.approx(record.value, abs=0.03)


@pytest.mark.parametrize("cap", [200.0, 800.0, 3000.0])
def test_the_best_network_keeps_the_cap_it_is_asked_for(model: Model, chain_cost: Cost, cap: float) -> None:
    params = best_under(model, {"macs": (chain_cost, cap)}).params
    assert chain_cost({name: params[name] for name in model.space.widths}) <= cap
    assert params["epochs"] == 16


def test_a_looser_cap_promises_more(model: Model, chain_cost: Cost) -> None:
    promised = [best_under(model, {"macs": (chain_cost, cap)}).nats for cap in (200, 800, 3000)]
    assert promised == sorted(promised)


def test_a_cap_that_nothing_keeps_is_refused(model: Model, chain_cost: Cost) -> None:
    with pytest.raises(UserError, match="no network of the grid keeps macs <= 10"):
        best_under(model, {"macs": (chain_cost, 10)})
