from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from phashopt.search.basis import Array
from phashopt.search.gain import by_searching, by_training_longer, chosen, in_hand
from phashopt.search.history import Past
from phashopt.search.model import Model
from phashopt.search.record import Record
from phashopt.search.space import LENGTH, Space

MakeSpace = Callable[..., Space]
MakeRecord = Callable[..., Record]
WIDE_AND_LONG = 3  # number of a record


def _price(params: Mapping[str, Any], paid: int) -> float:
    return float(params.get(LENGTH, 1) - paid)


def _better(record: Record, nats: float) -> Record:
    score = 1 - (1 - record.score) * float(np.exp(-nats))
    return replace(record, score=score, value=score)


@pytest.fixture
def records(make_record: MakeRecord) -> list[Record]:
    """Kernels are worth most in the second layer, where none has many yet; longer is better."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(20):
        widths, epochs = 8 * rng.integers(1, 3, 3), int(rng.choice([4, 8, 12]))
        error = 0.3 * (8 / widths[1]) ** 0.7 * (12 / epochs) ** 0.3
        record = make_record(number, widths.tolist(), (0.1,) * 3, value=1 - float(error), epochs=epochs)
        found.append(replace(record, stable_epochs=epochs // 2))
    return found


@pytest.fixture
def model(make_space: MakeSpace, records: list[Record]) -> Model:
    return Model(make_space(), Past(records, [], [], {}))


@pytest.fixture
def worlds() -> tuple[Array, Array]:
    """Three networks in hand and five to be trained, in a thousand worlds."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 1000)), rng.standard_normal((5, 1000))


def test_a_training_without_noise_shows_the_best_of_what_is_trained(worlds: tuple[Array, Array]) -> None:
    _, after = worlds
    picked = chosen(after[:1], after, 1e-6, np.random.default_rng(1))
    assert picked == pytest.approx(after.max(0), abs=1e-3)


def test_a_training_that_is_all_noise_gains_nothing(worlds: tuple[Array, Array]) -> None:
    before, after = worlds
    picked = chosen(before, after, 1e6, np.random.default_rng(1))
    assert picked == pytest.approx(np.concatenate(worlds)[np.concatenate(worlds).mean(1).argmax()])


def test_in_hand_is_what_the_model_expects_most_of(model: Model, records: list[Record]) -> None:
    best = in_hand(model)
    assert best is not None
    assert (best.params["width_01"], best.params[LENGTH]) == (16, 12)
    assert in_hand(Model(model.space, Past([replace(each, feasible=False) for each in records], [], [], {}))) is None


def test_nothing_is_gained_for_nothing(model: Model) -> None:
    gain = by_searching(model, 1.0, _price)
    assert (gain.trainings, gain.mean, gain.low, gain.high) == ([], 0.0, 0.0, 0.0)


def test_what_is_bought_is_within_the_budget_and_promises_more_the_more_it_is(model: Model) -> None:
    gains = [by_searching(model, budget, _price) for budget in (16.0, 160.0)]
    assert [sum(each.price for each in gain.trainings) <= budget for gain, budget in zip(gains, (16, 160), strict=True)]
    assert len(gains[0].trainings) < len(gains[1].trainings)
    assert 0 < gains[0].mean <= gains[1].mean + 0.005
    assert all(gain.low <= gain.mean <= gain.high for gain in gains)
    assert all(model.space.feasible(each.params) for gain in gains for each in gain.trainings)


def test_training_longer_pays_from_the_stable_phase_on_and_each_network_once(model: Model) -> None:
    gain = by_training_longer(model, 200.0, _price)
    assert gain is not None
    assert gain.mean > 0
    parents = [each.extends for each in gain.trainings]
    assert len({parent.number for parent in parents if parent}) == len(gain.trainings)
    for each in gain.trainings:
        assert each.extends is not None
        assert each.params[LENGTH] > each.extends.params[LENGTH]
        assert each.price == each.params[LENGTH] - (each.extends.stable_epochs or 0)


def test_what_went_beyond_the_range_goes_on_by_steps_that_are_mostly_new(
    make_space: MakeSpace, records: list[Record]
) -> None:
    longest = make_space().axes[LENGTH].values[-1]
    kept = [replace(each, params={**each.params, LENGTH: 40}, stable_epochs=30) for each in records]
    gain = by_training_longer(Model(make_space(), Past(kept, [], [], {})), 1e6, _price)
    assert gain is not None
    assert {each.params[LENGTH] for each in gain.trainings} <= {30 + 2 * longest, 2 * 40}
    assert gain.trainings


def test_a_network_keeps_its_own_merit_when_it_is_trained_on(make_space: MakeSpace, records: list[Record]) -> None:
    """What it reached beyond its prediction raises what it has and what it will have alike."""
    gains = []
    for nats in (0.1, 0.3, 0.5):
        changed = [_better(each, nats) if each.number == WIDE_AND_LONG else each for each in records]
        gain = by_training_longer(Model(make_space(), Past(changed, [], [], {})), 24.0, _price)
        assert gain is not None
        assert gain.trainings[0].extends is changed[WIDE_AND_LONG]
        gains.append(gain.mean / (1 - changed[WIDE_AND_LONG].score))
    assert min(gains) > 0.6 * max(gains)


def test_of_a_fixed_length_nothing_is_known(make_space: MakeSpace, records: list[Record]) -> None:
    space = replace(make_space(), length=None)
    assert by_training_longer(Model(space, Past(records, [], [], {})), 100.0, _price) is None


def test_where_trials_build_on_others_searching_on_does_so_too(make_space: MakeSpace, records: list[Record]) -> None:
    """The best is gone on with at least, each network known is bought once, and what inherits says whose kernels."""
    past = Past(records, [], [], {})
    scratch = by_searching(Model(make_space(), past), 60.0, _price)
    gain = by_searching(Model(replace(make_space(), inherits=True), past), 60.0, _price)
    assert all(each.parent is None for each in scratch.trainings)
    assert gain.mean > scratch.mean
    born = [each for each in gain.trainings if each.parent and not each.extends]
    assert any(each.extends for each in gain.trainings)
    assert all(each.start and each.start.epochs >= each.parent.params[LENGTH] for each in born if each.parent)
    known = [each.known.number for each in gain.trainings if each.known]
    assert len(set(known)) == len(known)
    assert sum(each.price for each in gain.trainings) <= 60.0
