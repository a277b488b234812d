from __future__ import annotations

import logging
import sqlite3

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import InternalError, OperationalError, PendingRollbackError

from phashopt.service import patience
from phashopt.service.patience import Patient, StorageAwayError, is_away, repeat

ENDED = InternalError("SELECT 1", {}, TimeoutError("the server ended the session"), connection_invalidated=True)
AWAY = OperationalError("SELECT 1", {}, ConnectionRefusedError("connection refused"))


def wrapped(error: Exception) -> StorageInternalError:
    """As Optuna raises it."""
    made = StorageInternalError("an exception is raised during the commit")
    made.__cause__ = error
    return made


def tripped_over() -> PendingRollbackError:
    """As SQLAlchemy raises it when it reads on after the connection was lost."""
    made = PendingRollbackError("invalid transaction")
    made.__context__ = AWAY
    return made


class Flaky:
    """Fails with each of `errors`, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.calls = 0

    def ask(self) -> str:
        self.calls += 1
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY_SECONDS", 0.0)


def never() -> bool:
    return False


def test_a_server_that_comes_back_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    flaky = Flaky(AWAY, wrapped(AWAY), wrapped(tripped_over()), ENDED)
    assert repeat(flaky.ask, never) == "answer"
    assert flaky.calls == 5
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "The study database does not answer; waiting for it.",
        "The study database answers again",
    ]


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), wrapped(ValueError("a bug")), OperationalError("", {}, sqlite3.Error("disk full"))]
)
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        repeat(flaky.ask, never)
    assert flaky.calls == 1
    assert not is_away(error)


def test_nobody_waits_who_is_to_leave() -> None:
    with pytest.raises(StorageAwayError, match="has not answered"):
        repeat(Flaky(AWAY).ask, lambda: True)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(StorageAwayError):
        repeat(Flaky(AWAY, AWAY, AWAY).ask, never)


def test_within_a_repeated_call_only_the_whole_is_repeated() -> None:
    inner = Flaky(AWAY)
    patient = Patient(inner, never, once=())
    steps = []

    def whole() -> str:
        steps.append("begin")
        return str(patient.ask())

    assert repeat(whole, never) == "answer"
    assert steps == ["begin", "begin"]


def test_what_must_not_be_done_twice_is_done_once() -> None:
    with pytest.raises(OperationalError):
        Patient(Flaky(AWAY), never, once=("ask",)).ask()
    assert Patient(Flaky(AWAY), never, once=()).ask() == "answer"
