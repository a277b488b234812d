from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from phashopt.search.history import Past, Pending
from phashopt.search.model import Model
from phashopt.search.prefix import Prefixes
from phashopt.search.record import Record
from phashopt.search.space import Space
from phashopt.search.start import Start
from phashopt.trace import Epoch, Reading, Trace

MakeSpace = Callable[..., Space]
MakeRecord = Callable[..., Record]
CURVE = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9)


@pytest.fixture
def finished(make_record: MakeRecord) -> list[Record]:
    """More kernels, fewer errors; the second layer is fuller of copies than the others."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(20):
        widths = 8 * rng.integers(1, 9, 3)
        value = 1 - 0.5 / float(np.prod(widths / 8.0)) ** 0.2 / 2
        readings = 0.002 * widths + np.array([0.0, 0.3, 0.0])
        records.append(make_record(number, widths.tolist(), readings.tolist(), value=value, accuracies=CURVE))
    return records


def _past(records: list[Record], stopped: list[Record] | None = None) -> Past:
    return Past(records, stopped or [], [], {})


def _predicted(model: Model, record: Record) -> float:
    features = model.basis.features(model.basis.coordinates([record.params], [record.start]))
    return float(features[0] @ model.posterior.mean)


def test_it_predicts_what_it_was_told(make_space: MakeSpace, finished: list[Record]) -> None:
    model = Model(make_space(), _past(finished))
    for record in finished:
        assert _predicted(model, record) == pytest.approx(model.response.nats(record.score), abs=0.1)


def test_the_layer_fuller_of_copies_stands_out(make_space: MakeSpace, finished: list[Record]) -> None:
    assert Model(make_space(), _past(finished)).excess.argmax() == 1


def test_what_is_believed_without_readings_depends_on_none(make_space: MakeSpace, finished: list[Record]) -> None:
    read = Model(make_space(), _past(finished))
    unread = Model(make_space(), _past([record.unread for record in finished]))
    assert (unread.excess == 0).all()
    assert read.posterior.mean != pytest.approx(unread.posterior.mean)
    assert read.posterior.silent.mean == pytest.approx(unread.posterior.mean)


def test_a_stopped_training_enters_with_where_it_would_have_ended(
    make_space: MakeSpace, finished: list[Record], make_record: MakeRecord
) -> None:
    poor = make_record(50, (64, 8, 8), (0.1,) * 3, accuracies=[accuracy - 0.04 for accuracy in CURVE])
    stopped = replace(poor, complete=False, value=np.nan, score=np.nan, trace=Trace(poor.trace.epochs[:3]))
    before, after = (Model(make_space(), _past(finished, each)) for each in ([], [stopped]))
    end = Prefixes(finished, np.array([record.curve[max(record.curve)] for record in finished])).end(stopped)
    assert end is not None
    assert abs(_predicted(after, stopped) - end.nats) < abs(_predicted(before, stopped) - end.nats)


def test_what_came_to_nothing_is_no_evidence_of_a_network(
    make_space: MakeSpace, finished: list[Record], make_record: MakeRecord
) -> None:
    chance = make_record(50, (64, 64, 64), (0.1,) * 3, value=0.1, accuracies=[0.1] * 6)
    before, after = Model(make_space(), _past(finished)), Model(make_space(), _past([*finished, chance]))
    assert after.posterior.mean == pytest.approx(before.posterior.mean)
    same = after.basis.coordinates([chance.params])
    assert after.survival(same)[0] < before.survival(same)[0]


@pytest.mark.parametrize(
    ("rows", "value", "lost"),
    [
        ([Epoch(number, 2.3, 0.1) for number in range(1, 7)], 0.1, True),
        ([Epoch(1, 1.0, 0.6), Epoch(2, 2.3, 0.1), Epoch(3, 2.3, 0.1)], 0.1, True),
        ([Epoch(1, 1.0, 0.6), Epoch(2, 2.3, 0.1), Epoch(3, 2.3, 0.1)], 0.6, False),
        ([Epoch(number, 2.3 - 0.2 * number, 0.1 + 0.01 * number) for number in range(1, 7)], 0.16, False),
        ([Epoch(number, math.nan, 0.1) for number in range(1, 7)], 0.1, True),
        ([Epoch(number, math.nan, 0.1) for number in range(1, 4)], 0.1, False),
    ],
    ids=["never learnt", "fell", "fell, its best epoch told", "slow", "no loss", "few epochs"],
)
def test_guessing_is_known_where_most_trainings_do(
    make_space: MakeSpace, finished: list[Record], rows: list[Epoch], value: float, lost: bool
) -> None:
    guesses = [replace(record, value=value, score=value, trace=Trace(rows)) for record in finished[:15]]
    assert Model(make_space(), _past([*guesses, *finished[15:]])).lost == guesses * lost


def test_what_is_learnt_in_the_first_epoch_is_no_guess(make_space: MakeSpace, finished: list[Record]) -> None:
    """Long epochs, or weights that were trained elsewhere: the others are not far above."""
    flat = Trace([Epoch(number, math.nan, 0.45) for number in range(1, 7)])
    at_once = [replace(record, value=0.45, score=0.45, trace=flat) for record in finished[:15]]
    others = [replace(record, value=0.55, score=0.55) for record in finished[15:]]
    assert Model(make_space(), _past([*at_once, *others])).lost == []


def test_a_child_that_stays_where_it_began_guesses_nothing(make_space: MakeSpace, finished: list[Record]) -> None:
    """Its parent had learnt what there was."""
    same = Trace([Epoch(number, math.nan, 0.4) for number in range(1, 7)])
    start = Start(10, 0.0, 0.0)
    children = [replace(record, value=0.4, score=0.4, trace=same, start=start) for record in finished[:15]]
    space = replace(make_space(), inherits=True)
    assert Model(space, _past([*children, *finished[15:]])).lost == []


@pytest.mark.parametrize("scale", [-5.0, 100.0])
def test_losses_above_one_and_odd_units_are_no_failures(
    make_space: MakeSpace, finished: list[Record], scale: float
) -> None:
    other = [replace(record, value=scale * (2 - record.value), score=scale * (2 - record.value)) for record in finished]
    assert len(Model(make_space(), _past(other)).finished) == len(finished)


def test_an_exploded_training_is_feared_at_its_rate(
    make_space: MakeSpace, finished: list[Record], make_record: MakeRecord
) -> None:
    exploded = []
    for number in range(4):
        record = make_record(60 + number, (32, 32, 32), (0.1,) * 3, accuracies=[0.3, 0.1])
        record.trace.epochs[-1].loss = float("nan")
        exploded.append(replace(record, complete=False, params=record.params | {"learning_rate": 0.29}))
    model = Model(make_space(), _past(finished, exploded))
    high = model.basis.coordinates([exploded[0].params])
    low = model.basis.coordinates([exploded[0].params | {"learning_rate": 0.01}])
    assert model.survival(high)[0] < model.survival(low)[0]


def test_a_trial_that_lacks_a_parameter_is_left_out(make_space: MakeSpace, finished: list[Record]) -> None:
    odd = replace(finished[0], params={"width_00": 8})
    assert len(Model(make_space(), _past([*finished, odd])).finished) == len(finished)


def test_what_moving_costs_is_learnt_from_children(make_space: MakeSpace, finished: list[Record]) -> None:
    space, start = replace(make_space(), inherits=True), Start(16, 2.0, 0.0)
    parents = [replace(record, params=record.params | {"epochs": 16}) for record in finished]
    costs = []
    for lost in (0.0, 0.5):
        scores = [1 - (1 - record.score) * float(np.exp(lost)) for record in parents]
        children = [
            replace(
                parent, number=50 + number, value=score, score=score, start=start, params=parent.params | {"epochs": 2}
            )
            for number, (parent, score) in enumerate(zip(parents, scores, strict=True))
        ]
        model = Model(space, _past([*parents, *children]))
        params = {**parents[0].params, "epochs": 2}
        rows = model.basis.features(model.basis.coordinates([params, {**params, "epochs": 16}], [start, None]))
        costs.append(float(np.diff(rows @ model.posterior.mean)[0]))
    assert costs[0] == pytest.approx(0.0, abs=0.1)
    assert costs[1] == pytest.approx(0.5, abs=0.15)


def test_while_there_is_no_child_luck_is_read_as_if_there_could_be_none(
    make_space: MakeSpace, make_record: MakeRecord
) -> None:
    rng = np.random.default_rng(0)
    few = [make_record(number, [8 * (number + 1), 16, 8], (0.1,) * 3, value=0.8) for number in range(7)]
    read = [
        replace(record, readings={name: Reading(0.1, *rng.uniform(0, 0.5, 2)) for name in record.readings})
        for record in few
    ]
    models = [Model(replace(make_space(), inherits=inherits), _past(read)) for inherits in (False, True)]
    none, some = (model._observations().features[:, model.basis.parts["luck"]] for model in models)
    assert none.any()
    assert (none == some).all()


def test_each_value_of_a_category_has_a_learning_rate_of_its_own(
    make_space: MakeSpace, make_record: MakeRecord
) -> None:
    """Batches and optimizers do."""
    best = {"sgd": 0.1, "adam": 0.003}
    space = make_space()
    space = replace(space, others={**space.others, "optimizer": CategoricalDistribution(list(best))})
    records = []
    for number, rate in enumerate(np.geomspace(1e-3, 0.3, 20).tolist()):
        for optimizer, middle in best.items():
            value = 1 - 0.1 * math.exp(0.3 * math.log10(rate / middle) ** 2)
            record = make_record(len(records), (32, 32, 32), (0.1,) * 3, value=value, accuracies=CURVE)
            params = {**record.params, "learning_rate": rate, "optimizer": optimizer}
            records.append(replace(record, number=2 * number, params=params))
    model = Model(space, _past(records))
    for optimizer, rate in best.items():
        own, others = (
            {**records[0].params, "optimizer": optimizer, "learning_rate": each} for each in (rate, 3e-4 / rate)
        )
        assert _predicted(model, replace(records[0], params=own)) > _predicted(
            model, replace(records[0], params=others)
        )


@pytest.mark.parametrize("child", [False, True])
def test_a_pruned_child_is_measured_by_children(
    make_space: MakeSpace, finished: list[Record], make_record: MakeRecord, child: bool
) -> None:
    space, start = replace(make_space(), inherits=True), Start(6, 1.0, 0.0)
    flat = [make_record(60 + number, (32, 32, 32), (0.1,) * 3, accuracies=(0.9,) * 6) for number in range(4)]
    children = [replace(record, start=start) for record in flat]
    poor = make_record(70, (40, 32, 32), (0.1,) * 3, accuracies=(0.85, 0.85))
    stopped = replace(poor, complete=False, value=np.nan, score=np.nan, start=start if child else None)
    as_steep = [replace(record, trace=flat[0].trace) for record in finished]
    steep, level = (_past([*each, *children], [stopped]) for each in (finished, as_steep))
    means = [Model(space, past).posterior.mean for past in (steep, level)]
    assert (means[0] == pytest.approx(means[1])) is child


def test_a_running_child_counts_with_the_epochs_of_its_ancestors(make_space: MakeSpace, finished: list[Record]) -> None:
    space = replace(make_space(), inherits=True)
    params = next(record.params for record in finished if space.feasible(record.params))
    start = Start(16, 1.0, 0.0)
    pending = [Pending(params), Pending(params, start)]
    model = Model(space, replace(_past(finished), pending=pending))
    expected = model.basis.features(model.basis.coordinates([params, params], [None, start]))
    assert (model.known[-2:] == expected).all()
    assert (expected[0] != expected[1]).any()


def test_where_short_trainings_gain_ever_less_a_long_one_is_not_thought_to_lose(
    make_space: MakeSpace, make_record: MakeRecord
) -> None:
    """By a parabola it would be."""
    lengths = [*range(2, 17), 24, 32]
    ends = {epochs: 1 - math.exp(-(1.8 - 0.6 * (2 / epochs) ** 0.9)) for epochs in lengths}
    records = [
        make_record(place, (16, 24, 16), (0.1,) * 3, value=ends[epochs], epochs=epochs)
        for place, epochs in enumerate(lengths)
    ]
    model = Model(replace(make_space(), inherits=True), _past(records))
    known, longer, longest = (
        _predicted(model, replace(records[-1], params=records[-1].params | {"epochs": epochs}))
        for epochs in (32, 128, 512)
    )
    assert known < longer < longest < known + 0.15
    assert known == pytest.approx(1.8 - 0.6 * (2 / 32) ** 0.9, abs=0.05)


def test_how_long_those_that_may_be_chosen_were_trained_counts_their_ancestors(
    make_space: MakeSpace, finished: list[Record]
) -> None:
    space = replace(make_space(), inherits=True)
    params = next(record.params for record in finished if space.feasible(record.params))
    child = replace(finished[0], number=99, params={**params, "epochs": 16}, start=Start(48, 0.0, 0.0))
    model = Model(space, replace(_past([child]), pending=[Pending(params)]))
    assert model.known_lengths.tolist() == pytest.approx([2.0, math.log2(params["epochs"] / 16)])


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_no_value(
    make_space: MakeSpace, finished: list[Record], make_record: MakeRecord, value: float
) -> None:
    infinite = make_record(50, (64, 64, 64), (0.1,) * 3, value=value)
    model = Model(make_space(), _past([*finished, infinite]))
    assert infinite in model.lost
    assert model.response.scale == Model(make_space(), _past(finished)).response.scale
    assert np.isfinite(model.posterior.mean).all()


def test_what_may_be_chosen_is_feasible_and_this_studys(make_space: MakeSpace, finished: list[Record]) -> None:
    best = Model(make_space(cap=None), _past(finished)).best
    assert best is not None
    space = make_space()
    cost = space.limits["macs"][0]({name: best.params[name] for name in space.widths})
    for space, past in (
        (make_space(cap=cost - 1), finished),  # no constraint was stored: the cap itself says so
        (make_space(cap=None), [replace(each, adopted=each is best) for each in finished]),
        (make_space(cap=None), [replace(each, feasible=each is not best) for each in finished]),
    ):
        model = Model(space, _past(past))
        assert len(model.finished) == len(finished)
        assert best.number not in {record.number for record in model.own}


def test_a_training_stopped_before_anything_finished_says_nothing_and_one_that_failed_unseen_was_lost(
    make_space: MakeSpace, make_record: MakeRecord
) -> None:
    seen = make_record(0, (8, 8, 8), (0.1,) * 3, accuracies=[0.5, 0.6])
    stopped = replace(seen, complete=False, value=np.nan, score=np.nan)
    failed = replace(stopped, number=1, trace=Trace(), failed=True)
    assert Model(make_space(), _past([], [stopped, failed])).lost == [failed]


@pytest.mark.parametrize(
    ("rows", "lost"),
    [
        ([Epoch(1, 2.3, 0.1, readings={"width_00": Reading(0.0, 0.0, 1.0)})], True),
        ([Epoch(1, 1.0, 0.6), Epoch(2, 2.3, 0.1), Epoch(3, 2.3, 0.1)], True),
        ([Epoch(number, math.nan, 0.1) for number in (1, 2)], True),
        ([Epoch(1, 2.2, 0.2)], False),
        ([Epoch(1, 1.9, 0.3), Epoch(2, 1.5, 0.45)], False),
    ],
    ids=["a dead layer", "fell to guessing", "guesses where others had learnt", "a first epoch", "slow"],
)
def test_a_training_stopped_at_guessing_is_lost(
    make_space: MakeSpace, finished: list[Record], rows: list[Epoch], lost: bool
) -> None:
    stopped = replace(finished[0], number=50, complete=False, value=np.nan, score=np.nan, trace=Trace(rows))
    assert Model(make_space(), _past(finished, [stopped])).lost == [stopped] * lost


def test_poor_values_in_odd_units_are_no_failures(make_space: MakeSpace, finished: list[Record]) -> None:
    """Without a natural zero nothing says that a value is one of guessing."""
    poor = replace(finished[0], number=50, value=-1e4, score=-1e4)
    other = [replace(record, value=100 * record.value, score=100 * record.score) for record in finished]
    assert Model(make_space(), _past([*other, poor])).lost == []


@pytest.mark.parametrize("unit", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(("times", "lost"), [(2.5, False), (5.0, True)])
def test_what_a_loss_came_to_does_not_depend_on_its_unit(
    make_space: MakeSpace, finished: list[Record], unit: float, times: float, lost: bool
) -> None:
    losses = [replace(record, value=1 - record.value, score=record.value - 1) for record in finished]
    quartile = float(np.quantile([record.value for record in losses], 0.75))
    other = replace(losses[0], number=50, value=times * quartile, score=-times * quartile)
    told = [replace(record, value=unit * record.value, score=unit * record.score) for record in (*losses, other)]
    model = Model(make_space(), replace(_past(told), sign=-1))
    assert [record.number for record in model.lost] == [50] * lost


def test_values_are_told_with_their_sign(make_space: MakeSpace, finished: list[Record]) -> None:
    low, high = (
        1 - 2 * record.value for record in sorted(finished, key=lambda each: -each.value)[:: len(finished) - 1]
    )
    losses = [replace(record, value=1 - 2 * record.value, score=2 * record.value - 1) for record in finished]
    model = Model(make_space(), replace(_past(losses), sign=-1))
    assert low < 0
    assert sorted(model.response.value(model.response.nats([-low, -high]))) == pytest.approx([low, high], abs=1e-3)


def test_a_parameter_that_depends_on_another_may_be_missing(make_space: MakeSpace, finished: list[Record]) -> None:
    space = replace(make_space(), others={**make_space().others, "momentum": FloatDistribution(0.5, 0.99)})
    some = [
        replace(record, params={**record.params, "momentum": 0.9}) if record.number % 2 else record
        for record in finished
    ]
    assert len(Model(space, _past(some)).finished) == len(finished)


def test_a_child_counts_the_epochs_that_its_parent_was_trained_for(
    make_space: MakeSpace, finished: list[Record]
) -> None:
    model, child = Model(make_space(), _past(finished)), {**finished[0].params, "width_00": 64}
    fixed = replace(finished[0], epochs=3, params={k: v for k, v in finished[0].params.items() if k != "epochs"})
    assert model.start(replace(finished[0], epochs=3), child).epochs == model.start(fixed, child).epochs == 3


def test_what_is_believed_of_trainings_from_scratch_depends_on_no_child(
    make_space: MakeSpace, finished: list[Record]
) -> None:
    children = [replace(record, number=50 + record.number, start=Start(6, 1.0, 0.0)) for record in finished]
    assert _past([*finished, *children]).from_scratch == _past(finished)
