from __future__ import annotations

import threading
from pathlib import Path

import optuna
import pytest
from optuna.storages._grpc.server import make_server
from throwaway_postgres import Postgres

from phashopt.errors import UserError
from phashopt.service.locks import claim_lock
from phashopt.service.server import Server
from phashopt.service.storage import open_storage

HOLDERS, ROUNDS = 4, 5


class Counter:
    """Counts up in two steps, so that two at once lose a count."""

    def __init__(self) -> None:
        self.value = 0

    def add(self) -> None:
        seen = self.value
        threading.Event().wait(0.001)
        self.value = seen + 1


def take_turns(counter: Counter, urls: list[str], study: str = "tiny") -> None:
    def hold(url: str) -> None:
        storage = open_storage(url, create=True)
        for _ in range(ROUNDS):
            with claim_lock(storage, url, study):
                counter.add()

    threads = [threading.Thread(target=hold, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_one_holder_at_a_time(any_url: str) -> None:
    counter = Counter()
    open_storage(any_url, create=True)
    take_turns(counter, [any_url] * HOLDERS)
    assert counter.value == HOLDERS * ROUNDS


def test_the_proxy_and_those_who_go_past_it_share_one_lock(postgres: Postgres) -> None:
    url, counter = postgres.new_database(), Counter()
    with Server(url, "127.0.0.1", 0) as server:
        take_turns(counter, [url, f"grpc://127.0.0.1:{server.port}"] * 2)
    assert counter.value == 4 * ROUNDS


def test_whoever_comes_by_a_link_takes_the_same_turns(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    urls, counter = [f"sqlite:///{tmp_path}/{name}.db" for name in ("real", "link")], Counter()
    open_storage(urls[0], create=True)
    take_turns(counter, urls * 2)
    assert counter.value == 4 * ROUNDS


def test_the_lock_is_free_again_after_an_error(any_url: str) -> None:
    storage = open_storage(any_url, create=True)
    for _ in range(2):
        with pytest.raises(ValueError, match="in the middle"), claim_lock(storage, any_url, "tiny"):
            raise ValueError("in the middle")


def test_studies_do_not_wait_for_each_other(postgres: Postgres) -> None:
    url = postgres.new_database()
    first, second = open_storage(url), open_storage(url)
    with claim_lock(first, url, "one"), claim_lock(second, url, "two"):
        pass


def test_a_proxy_that_keeps_no_budget_is_refused(tmp_path: Path) -> None:
    backend = optuna.storages.get_storage(f"sqlite:///{tmp_path / 'a.db'}")
    server = make_server(backend, "127.0.0.1", 0)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    url = f"grpc://127.0.0.1:{port}"
    with pytest.raises(UserError, match="start 'phashopt server'"), claim_lock(open_storage(url), url, "tiny"):
        pass
    server.stop(grace=None).wait()
