from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from threading import Event, Thread

import pytest

from phashopt.search.lock import OwnLock


def test_who_comes_second_waits() -> None:
    lock, entered = OwnLock(), Event()

    def enter() -> None:
        with lock:
            entered.set()

    thread = Thread(target=enter)
    with lock:
        thread.start()
        assert not entered.wait(0.1)
    thread.join()
    assert entered.is_set()


@pytest.mark.parametrize("copied", [lambda lock: pickle.loads(pickle.dumps(lock)), copy.deepcopy])
def test_a_copy_is_free_while_its_original_is_held(copied: Callable[[OwnLock], OwnLock]) -> None:
    lock = OwnLock()
    with lock, copied(lock):
        pass
