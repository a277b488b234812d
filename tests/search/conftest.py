"""A small world of networks with known costs, and trials with readings made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution

from phashopt.search.basis import Array, Basis
from phashopt.search.history import Past
from phashopt.search.model import Model
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


@pytest.fixture
def records(make_record: MakeRecord) -> list[Record]:
    """The second layer needs kernels; longer is better."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(16):
        widths = 8 * rng.integers(1, 4, 3)
        epochs = int(rng.integers(2, 17))
        value = 1 - 0.4 * (8 / widths[1]) ** 0.5 / epochs**0.3
        found.append(make_record(number, widths.tolist(), (0.1,) * 3, value=value, epochs=epochs))
    return found


@pytest.fixture
def model(make_space: Callable[..., Space], make_record: MakeRecord) -> Model:
    """Kernels are worth most in the second layer; one poor network was lucky."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(24):
        widths = 8 * rng.integers(1, 6, 3)
        value = 1 - 0.3 * (8 / widths[1]) ** 0.7 * float(np.exp(0.02 * rng.standard_normal()))
        records.append(make_record(number, widths.tolist(), (0.1,) * 3, value=value, epochs=16))
    records.append(make_record(24, (40, 8, 40), (0.1,) * 3, value=0.97, epochs=16))
    return Model(make_space(), Past(records, [], [], {}))


def worlds_of(basis: Basis, count: int) -> Array:
    """(count, d) weights as they are believed in beforehand."""
    rng = np.random.default_rng(5)
    belief = (np.array([each]) for each in (1.0, 0.3, 0.05))
    (means,), (deviations,) = basis.prior(*belief, np.zeros((1, basis.layers)))
    weights = means[0] + deviations * rng.standard_normal((count, len(deviations)))
    return np.where(basis.concave, np.maximum(weights, 0), weights)
