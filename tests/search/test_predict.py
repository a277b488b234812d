from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import create_trial

from phashopt.errors import UserError
from phashopt.search import PHashSampler
from phashopt.search.history import Past
from phashopt.search.model import Model
from phashopt.search.predict import best_under, predictions_of, ranked
from phashopt.search.record import Record

Cost = Callable[[Mapping[str, int]], int]


def test_a_lucky_trial_is_not_ranked_by_its_luck(model: Model) -> None:
    first, _ = ranked(model)[0]
    assert max(model.finished, key=lambda record: record.score).number == 24
    assert first.number != 24
    assert first.params["width_01"] == max(record.params["width_01"] for record in model.own)


def test_of_two_that_are_expected_to_be_alike_the_one_that_reached_more_comes_first(model: Model) -> None:
    best = ranked(model)[0][0]
    twin = replace(best, number=99, score=best.score - 0.001, value=best.value - 0.001)
    numbers = [record.number for record, _ in ranked(Model(model.space, Past([twin, *model.own], [], [], {})))]
    assert numbers.index(best.number) < numbers.index(99)


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


@pytest.mark.parametrize("cap", [5.0, 9.0, 16.0])
def test_under_a_cost_that_is_no_quadratic_no_layer_could_be_wider(model: Model, cap: float) -> None:
    def latency(widths: Mapping[str, int]) -> float:
        return sum(math.ceil(width / 16) ** 0.5 for width in widths.values())

    params = best_under(model, {"latency": (latency, cap)}).params
    widths = {name: params[name] for name in model.space.widths}
    assert latency(widths) <= cap
    for name, axis in model.space.widths.items():
        wider = [width for width in axis.values if width > widths[name]][:1]
        assert all(latency({**widths, name: width}) > cap for width in wider)


@pytest.mark.parametrize(("told", "left"), [(0.0, 0.1), (0.1, 0.02)])
def test_luck_that_readings_tell_is_part_of_what_one_training_may_have(told: float, left: float) -> None:
    """Dead maps of the last layer tell `told` nats of a training's noise, which is `left` beside."""
    rng, names = np.random.default_rng(0), ["a", "b", "c"]

    def widths() -> dict[str, int]:
        return {name: int(rng.integers(4, 33)) for name in names}

    def ends(params: Mapping[str, int], luck: float) -> float:
        worth = 2 + 0.2 * sum(math.log(params[name] / 4, 8) for name in names)
        return 1 - math.exp(-(worth - told * luck + left * rng.standard_normal()))

    limits = {"macs": (lambda kernels: float(sum(kernels.values())), 96.0)}
    study = optuna.create_study(direction="maximize", sampler=PHashSampler(0, widths=names, limits=limits))
    for _ in range(80):
        params, luck = widths(), rng.standard_normal()
        dead = {f"dead.{name}": float(np.clip(0.4 + 0.1 * luck, 0, 1)) if name == "c" else 0.1 for name in names}
        read = {f"{kind}.{name}": 0.1 for kind in ("redundancy", "duplicates") for name in names}
        ranges = {name: IntDistribution(4, 32) for name in names}
        attrs = {**dead, **read}
        study.add_trial(create_trial(params=params, distributions=ranges, value=ends(params, luck), user_attrs=attrs))
    points = [widths() for _ in range(400)]
    predictions = predictions_of(study.sampler.model(study), points)  # type: ignore[attr-defined]
    inside = [
        each.low <= ends(params, rng.standard_normal()) <= each.high
        for params, each in zip(points, predictions, strict=True)
    ]
    assert np.mean(inside) == pytest.approx(0.93, abs=0.06)


def test_a_cap_that_nothing_keeps_is_refused(model: Model, chain_cost: Cost) -> None:
    with pytest.raises(UserError, match="no network of the grid keeps macs <= 10"):
        best_under(model, {"macs": (chain_cost, 10)})


def test_the_best_network_is_trained_at_a_rate_that_it_survives(
    model: Model, chain_cost: Cost, make_record: Callable[..., Record]
) -> None:
    """What survived is the better the higher the rate, and at the highest ones nothing did."""
    rates = np.geomspace(1e-3, 0.3, 25).tolist()
    records = []
    for record, rate in zip(model.finished, rates, strict=True):
        params = {**record.params, "learning_rate": rate}
        guess = make_record(record.number, (8, 8, 8), (0.1,) * 3, value=0.1, accuracies=[0.1] * 6)
        value = 0.7 + 0.05 * math.log10(rate / 1e-3)
        lost = rate > 0.05
        records.append(replace(guess if lost else replace(record, value=value, score=value), params=params))
    taught = Model(model.space, Past(records, [], [], {}))
    found = best_under(taught, {"macs": (chain_cost, 800)})
    assert len(taught.lost) == sum(rate > 0.05 for rate in rates)
    assert 0.005 < found.params["learning_rate"] < 0.06
    assert found.survives > 0.7


def test_while_nothing_was_lost_everything_survives(model: Model) -> None:
    assert {prediction.survives for _, prediction in ranked(model)} == {1.0}
