"""A small world of networks with known costs, and trials with readings made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

import optuna
import pytest
from optuna.distributions import FloatDistribution

from phashopt.search.record import Record
from phashopt.search.space import Axis, Limits, Space
from phashopt.trace import Epoch, Reading, Trace

MakeTrace = Callable[..., Trace]
MakeRecord = Callable[..., Record]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def chain_cost() -> Callable[[Mapping[str, int]], int]:
    """Multiply-accumulates of a chain of convolutions on one input channel, up to a factor."""

    def cost(widths: Mapping[str, int]) -> int:
        counts = [1, *widths.values()]
        return sum(before * after for before, after in pairwise(counts))

    return cost


@pytest.fixture
def make_space(chain_cost: Callable[[Mapping[str, int]], int]) -> Callable[..., Space]:
    """Three layers of 8 to 64 kernels in eights, 2 to 16 epochs, a cap on the chain's cost unless it is None."""

    def make(cap: float | None = 1000, epochs: range = range(2, 17)) -> Space:
        limits: Limits = {} if cap is None else {"macs": (chain_cost, cap)}
        widths = {f"width_{index:02d}": Axis(range(8, 65, 8)) for index in range(3)}
        return Space(widths, Axis(epochs), limits, {"learning_rate": FloatDistribution(1e-3, 0.3, log=True)})

    return make


@pytest.fixture
def make_trace() -> MakeTrace:
    """Accuracies by epoch at a constant rate, or at `rates`; (redundancy, duplicates, dead) read at the last one."""

    def make(
        accuracies: Iterable[float],
        rates: Iterable[float] | None = None,
        readings: Mapping[str, tuple[float, float, float]] | None = None,
    ) -> Trace:
        curve = list(accuracies)
        by_epoch = list(rates) if rates is not None else [0.1] * len(curve)
        rows = [
            Epoch(number, loss=1 - accuracy, accuracy=accuracy, learning_rate=rate)
            for number, (accuracy, rate) in enumerate(zip(curve, by_epoch, strict=True), start=1)
        ]
        rows[-1].readings = {name: Reading(*numbers) for name, numbers in (readings or {}).items()}
        return Trace(rows)

    return make


@pytest.fixture
def make_record(make_trace: MakeTrace) -> MakeRecord:
    """A complete trial of three layers, trained out unless `accuracies` says otherwise."""

    def make(
        number: int,
        widths: Iterable[int],
        redundancies: Iterable[float],
        *,
        value: float = 0.9,
        epochs: int = 6,
        accuracies: Iterable[float] = (0.5, 0.9, 0.9, 0.9, 0.9, 0.9),
        duplicates: float = 0.2,
        dead: float = 0.0,
    ) -> Record:
        params = {f"width_{index:02d}": width for index, width in enumerate(widths)}
        numbers = {name: (rho, duplicates, dead) for name, rho in zip(params, redundancies, strict=True)}
        trace = make_trace(accuracies, readings=numbers)
        return Record(
            number=number,
            value=value,
            score=value,
            complete=True,
            feasible=True,
            params=params | {"epochs": epochs, "learning_rate": 0.1},
            trace=trace,
            readings=trace.last_readings,
        )

    return make
