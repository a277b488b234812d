"""A database server that goes away, by itself and behind the proxy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from throwaway_postgres import Postgres

from phashopt.service.patience import StorageAwayError
from phashopt.service.queue import Queue
from phashopt.service.study import open_study

pytestmark = pytest.mark.parametrize("any_url", ["postgresql", "grpc"], indirect=True)
AWAY_SECONDS = 1.0


@contextmanager
def away(server: Postgres) -> Iterator[None]:
    """Stopped, and started again in the background."""
    server.stop()
    back = threading.Timer(AWAY_SECONDS, server.start)
    back.start()
    try:
        yield
    finally:
        back.join()


def test_a_claim_waits_for_a_server_that_is_away(any_url: str, any_study: str, postgres: Postgres) -> None:
    study, spec = open_study(any_url, any_study)
    queue = Queue(study, spec, any_url, "test")
    with away(postgres):
        claim = queue.claim()
    assert claim is not None
    assert claim.trial.number == 0
    assert claim.lease.held()


def test_numbers_written_meanwhile_arrive(any_url: str, any_study: str, postgres: Postgres) -> None:
    study, spec = open_study(any_url, any_study)
    trial = study.ask(spec.space)
    with away(postgres):
        trial.report(0.5, 1)
        trial.set_user_attr("macs", 7)
        study.tell(trial, 0.5)
    assert study.trials[0].intermediate_values == {1: 0.5}
    assert (study.trials[0].user_attrs["macs"], study.trials[0].value) == (7, 0.5)


def test_nobody_waits_who_is_to_leave(any_url: str, any_study: str, postgres: Postgres) -> None:
    study, spec = open_study(any_url, any_study, give_up=lambda: True)
    queue = Queue(study, spec, any_url, "test", give_up=lambda: True)
    with away(postgres), pytest.raises(StorageAwayError):
        queue.claim()
