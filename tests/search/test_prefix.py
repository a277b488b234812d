from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from phashopt.search.curve import FLOOR
from phashopt.search.prefix import End, expected_end, planned
from phashopt.search.record import Record
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


def _stopped(record: Record, epochs: int) -> Record:
    return replace(record, complete=False, trace=Trace(record.trace.epochs[:epochs]))


@pytest.mark.parametrize("epochs", [1, 2, 5, 7])
def test_parallel_curves_are_gone_on_with_in_parallel(make_record: MakeRecord, epochs: int) -> None:
    *finished, other = _finished(make_record, [0.5, 0.8, 1.1, 1.4, 0.9])
    end = expected_end(_stopped(other, epochs), finished)
    assert isinstance(end, End)
    assert end.nats == pytest.approx(_nats(other.trace.epochs[-1].accuracy), abs=1e-6)


def test_scattered_ends_are_known_less_well(make_record: MakeRecord) -> None:
    alike = _finished(make_record, [0.5, 0.8, 1.1, 1.4])
    scattered = [
        replace(record, trace=Trace([*record.trace.epochs[:-1], replace(record.trace.epochs[-1], accuracy=accuracy)]))
        for record, accuracy in zip(alike, (0.6, 0.97, 0.8, 0.99), strict=True)
    ]
    prefix = _stopped(_finished(make_record, [0.7])[0], 3)
    narrow, wide = expected_end(prefix, alike), expected_end(prefix, scattered)
    assert narrow is not None
    assert wide is not None
    assert narrow.variance < wide.variance


def test_more_trainings_make_it_surer(make_record: MakeRecord) -> None:
    prefix = _stopped(_finished(make_record, [0.7])[0], 3)
    variances = [
        end.variance
        for count in (1, 4, 16)
        if (end := expected_end(prefix, _finished(make_record, [0.5 + 0.05 * n for n in range(count)])))
    ]
    assert len(variances) == 3
    assert variances == sorted(variances, reverse=True)


def test_nothing_is_said_before_a_training_has_finished(make_record: MakeRecord) -> None:
    assert expected_end(_stopped(_finished(make_record, [0.7])[0], 3), []) is None


def test_a_trial_without_a_curve_has_no_end(make_record: MakeRecord) -> None:
    finished = _finished(make_record, [0.7, 0.9])
    assert expected_end(replace(finished[0], trace=Trace()), finished[1:]) is None
    assert planned(replace(finished[0], trace=Trace(), params={})) == 1
