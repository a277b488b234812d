from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from phashopt.search.budget import Budget, Left
from phashopt.search.history import Past, Pending
from phashopt.search.record import Record
from phashopt.search.space import Space

MakeSpace = Callable[..., Space]

NOON = datetime(2026, 6, 1, 12)


@pytest.fixture
def past(records: list[Record]) -> Past:
    """Two finished trials, one stopped, one running: 30 epochs for 300 MACs, and 8 epochs to come."""
    pending = [Pending({"epochs": 8})]
    return Past(records[:2], records[2:3], pending, {}, epochs=30, compute=300.0, planned=8)


@pytest.mark.parametrize(
    ("budget", "left"),
    [
        (Budget(None, None), Left(0.5, 30 - 8)),
        (Budget(16, None), Left(3 / 4, 16 * 16 - 30 - 8)),
        (Budget(None, 600.0), Left(1 / 2, 60 - 30 - 8)),
        (Budget(16, 600.0), Left(1 / 2, 60 - 30 - 8)),  # the compute ends first
        (Budget(5, 6000.0), Left(1 / 5, 5 * 16 - 30 - 8)),  # the trials do
        (Budget(3, None), Left(0.0, 3 * 16 - 30 - 8)),
    ],
)
def test_the_budget_that_ends_first_says_what_is_left(
    past: Past, make_space: MakeSpace, budget: Budget, left: Left
) -> None:
    found = budget.left(past, make_space())
    assert (found.share, found.spare) == pytest.approx((left.share, left.spare))


@pytest.mark.parametrize(
    ("budget", "hours", "left"),
    [
        (Budget(None, None, NOON + timedelta(hours=4)), 1, Left(3 / 4, 30 * 3 / 2)),  # two share the time
        (Budget(None, None, NOON + timedelta(hours=4)), 0, Left(1.0, 30 - 8)),  # no hour has shown what it buys
        (Budget(None, None, NOON + timedelta(hours=4)), 5, Left(0.0, 0.0)),
        (Budget(None, None, NOON - timedelta(hours=1)), 0, Left(0.0, 0.0)),  # gone on with after its end
        (Budget(16, 600.0, NOON + timedelta(hours=4)), 1, Left(1 / 2, 60 - 30 - 8)),  # the compute ends first
        (Budget(16, 6000.0, NOON + timedelta(hours=4)), 3, Left(1 / 4, 30 / 3 / 2)),  # the hours do
    ],
)
def test_hours_end_a_study_as_trials_and_compute_do(
    past: Past, make_space: MakeSpace, budget: Budget, hours: int, left: Left
) -> None:
    found = budget.left(replace(past, begun=NOON, now=NOON + timedelta(hours=hours)), make_space())
    assert (found.share, found.spare) == pytest.approx((left.share, left.spare))


def test_before_a_trial_has_begun_no_time_has_passed(past: Past, make_space: MakeSpace) -> None:
    assert Budget(None, None, NOON).left(past, make_space()).share == 1.0


def test_another_studys_trials_use_nothing_up(past: Past, make_space: MakeSpace) -> None:
    adopted = replace(past.records[0], number=99, adopted=True)
    more = replace(past, records=[*past.records, adopted])
    assert Budget(16, None).left(more, make_space()) == Budget(16, None).left(past, make_space())


def test_before_anything_was_spent_compute_says_nothing_of_epochs(make_space: MakeSpace) -> None:
    assert Budget(None, 600.0).left(Past([], [], [], {}), make_space()) == Left(1.0, 0.0)
