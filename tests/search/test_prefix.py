from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from phashopt.search.curve import FLOOR
from phashopt.search.prefix import End, Prefixes
from phashopt.search.record import Record
from phashopt.search.start import Start
from phashopt.trace import Trace

MakeRecord = Callable[..., Record]
GAINS = np.linspace(0, 0.7, 8)


def _nats(accuracy: float) -> float:
    return float(-np.log(1 - accuracy + FLOOR))


def _curve(start: float) -> list[float]:
    """Eight epochs that gain the same nats wherever they start."""
    return [1 + FLOOR - float(np.exp(-(start + gain))) for gain in GAINS]


def _finished(make_record: MakeRecord, starts: list[float]) -> list[Record]:
    return [make_record(n, (8, 8, 8), (0.1,) * 3, epochs=8, accuracies=_curve(start)) for n, start in enumerate(starts)]


def _prefixes(finished: list[Record]) -> Prefixes:
    """Of trainings whose values are what their curves end with."""
    return Prefixes(finished, np.array([record.curve[max(record.curve)] for record in finished]))


def _stopped(record: Record, epochs: int) -> Record:
    return replace(record, complete=False, trace=Trace(record.trace.epochs[:epochs]))


@pytest.mark.parametrize("epochs", [1, 2, 5, 7])
def test_parallel_curves_are_gone_on_with_in_parallel(make_record: MakeRecord, epochs: int) -> None:
    *finished, other = _finished(make_record, [0.5, 0.8, 1.1, 1.4, 0.9])
    end = _prefixes(finished).end(_stopped(other, epochs))
    assert isinstance(end, End)
    assert end.nats == pytest.approx(_nats(other.trace.epochs[-1].accuracy), abs=1e-6)


@pytest.mark.parametrize("start", [None, Start(8, 1.0, 0.0), Start(8, 0.0, 0.0)], ids=["scratch", "moved", "same"])
def test_trainings_that_begin_differently_go_on_differently(make_record: MakeRecord, start: Start | None) -> None:
    starts = (None, Start(8, 1.0, 0.0), Start(8, 0.0, 0.0))
    finished = [replace(record, start=each) for each in starts for record in _finished(make_record, [0.5, 0.9])]
    ends = np.repeat([1.0, 2.0, 3.0], 2)
    prefix = replace(_stopped(_finished(make_record, [0.7])[0], 4), start=start)
    end, alone = (
        Prefixes(*known).end(prefix)
        for known in (
            (finished, ends),
            ([each for each in finished if each.start == start], np.full(2, 1.0 + starts.index(start))),
        )
    )
    assert end == alone


def test_of_children_nothing_is_said_before_one_of_their_kind_has_finished(make_record: MakeRecord) -> None:
    *finished, other = _finished(make_record, [0.5, 0.8, 1.1, 0.9])
    assert _prefixes(finished).end(replace(_stopped(other, 3), start=Start(8, 1.0, 0.0))) is None


@pytest.mark.parametrize(("length", "epochs"), [(16, 1), (24, 1), (24, 5), (48, 1), (48, 7)])
def test_alike_curves_end_alike_from_any_epoch_on(make_record: MakeRecord, length: int, epochs: int) -> None:
    curve = [1 + FLOOR - 1 / (1 + epoch) for epoch in range(1, length + 1)]
    records = [make_record(n, (8, 8, 8), (0.1,) * 3, epochs=length, accuracies=curve) for n in range(11)]
    end = _prefixes(records[1:]).end(_stopped(records[0], epochs))
    assert end is not None
    assert end.nats == pytest.approx(np.log(1 + length))


def test_scattered_ends_are_known_less_well(make_record: MakeRecord) -> None:
    alike = _finished(make_record, [0.5, 0.8, 1.1, 1.4])
    scattered = [
        replace(record, trace=Trace([*record.trace.epochs[:-1], replace(record.trace.epochs[-1], accuracy=accuracy)]))
        for record, accuracy in zip(alike, (0.6, 0.97, 0.8, 0.99), strict=True)
    ]
    prefix = _stopped(_finished(make_record, [0.7])[0], 3)
    narrow, wide = _prefixes(alike).end(prefix), _prefixes(scattered).end(prefix)
    assert narrow is not None
    assert wide is not None
    assert narrow.variance < wide.variance


def test_more_trainings_make_it_surer(make_record: MakeRecord) -> None:
    prefix = _stopped(_finished(make_record, [0.7])[0], 3)
    variances = [
        end.variance
        for count in (1, 4, 16)
        if (end := _prefixes(_finished(make_record, [0.5 + 0.05 * n for n in range(count)])).end(prefix))
    ]
    assert len(variances) == 3
    assert variances == sorted(variances, reverse=True)


def test_nothing_is_said_before_a_training_has_finished(make_record: MakeRecord) -> None:
    assert _prefixes([]).end(_stopped(_finished(make_record, [0.7])[0], 3)) is None


def test_a_trial_without_a_curve_has_no_end(make_record: MakeRecord) -> None:
    finished = _finished(make_record, [0.7, 0.9])
    assert _prefixes(finished[1:]).end(replace(finished[0], trace=Trace())) is None


@pytest.mark.parametrize(("length", "known"), [(12, True), (8, True), (5, False)])
def test_nothing_is_said_of_a_training_that_went_beyond_its_length(
    make_record: MakeRecord, length: int, known: bool
) -> None:
    """Nobody says how many epochs the pruner gave it."""
    *finished, other = _finished(make_record, [0.5, 0.8, 0.7])
    prefix = replace(_stopped(other, 6), params={**other.params, "epochs": length})
    assert (_prefixes(finished).end(prefix) is not None) == known


def _without_length(record: Record) -> Record:
    return replace(record, params={name: value for name, value in record.params.items() if name != "epochs"})


def test_where_length_is_no_parameter_it_is_the_usual_one(make_record: MakeRecord) -> None:
    *finished, other = map(_without_length, _finished(make_record, [0.5, 0.8, 1.1, 1.4, 0.9]))
    end = _prefixes(finished).end(_stopped(other, 3))
    assert end is not None
    assert end.nats == pytest.approx(_nats(other.trace.epochs[-1].accuracy), abs=1e-6)


def test_steps_need_not_be_epochs(make_record: MakeRecord) -> None:
    """Eight rows a training of two epochs: what counts is the share of the rows."""
    *finished, other = (
        replace(record, params={**record.params, "epochs": 2}) for record in _finished(make_record, [0.5, 0.8, 0.9])
    )
    assert _prefixes(finished).planned(_stopped(other, 3)) == 8


def test_ends_are_values_on_whatever_scale_these_are(make_record: MakeRecord) -> None:
    *finished, other = _finished(make_record, [0.5, 0.8, 1.1, 1.4, 0.9])
    ends = np.array([record.curve[8] for record in finished])
    shares, shifted = (Prefixes(finished, nats).end(_stopped(other, 3)) for nats in (ends, ends - 5))
    assert shares is not None
    assert shifted is not None
    assert shifted.nats == pytest.approx(shares.nats - 5)


def test_trainings_that_report_once_and_at_nought_say_what_comes_after(make_record: MakeRecord) -> None:
    finished = _finished(make_record, [0.5, 0.8])
    at_nought = [replace(record, trace=Trace([replace(record.trace.epochs[0], number=0)])) for record in finished]
    end = Prefixes(at_nought, np.array([0.7, 1.0])).end(replace(at_nought[0], complete=False))
    assert end is not None
    assert end.nats == pytest.approx(0.7, abs=1e-6)


@pytest.mark.parametrize("length", ["short", None])
def test_a_length_that_is_no_number_is_the_usual_one(length: str | None, make_record: MakeRecord) -> None:
    named = [
        replace(each, params={**each.params, "epochs": length}) for each in _finished(make_record, [0.5, 0.8, 0.6])
    ]
    *finished, other = named
    end = _prefixes(finished).end(_stopped(other, 4))
    assert end is not None
    assert end.nats == pytest.approx(_nats(other.trace.epochs[-1].accuracy), abs=1e-6)
