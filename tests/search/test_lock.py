from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from threading import Thread

import pytest

from phashopt.search.lock import OwnLock


def test_one_at_a_time_is_inside() -> None:
    lock, inside, most = OwnLock(), 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock:
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("copied", [lambda lock: pickle.loads(pickle.dumps(lock)), copy.deepcopy])
def test_a_copy_is_free_while_its_original_is_held(copied: Callable[[OwnLock], OwnLock]) -> None:
    lock = OwnLock()
    with lock, copied(lock):
        pass
