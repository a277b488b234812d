from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
import torch

from phashopt.signal.threads import in_threads


@pytest.fixture(autouse=True)
def three_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def cores_of_a_new_thread() -> int:
    found: list[int] = []
    thread = Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_results_come_in_order(threads: int, count: int) -> None:
    assert list(in_threads(lambda item: item**2, range(count), threads)) == [item**2 for item in range(count)]


def test_each_of_several_threads_has_one_core() -> None:
    assert list(in_threads(lambda item: torch.get_num_threads(), range(6), 3)) == [1] * 6
    assert list(in_threads(lambda item: torch.get_num_threads(), range(6), 1)) == [3] * 6


def test_only_so_much_is_done_ahead() -> None:
    begun: list[int] = []
    results = in_threads(begun.append, range(100), 3)
    for taken in range(1, 40):
        next(results)
        assert len(begun) <= taken + 2 * 3


def test_the_cores_are_as_before() -> None:
    list(in_threads(abs, range(6), 3))
    assert (torch.get_num_threads(), cores_of_a_new_thread()) == (3, 3)


def test_the_cores_are_as_before_also_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda item: 1 // (item - 4), range(9), 3))
    assert (torch.get_num_threads(), cores_of_a_new_thread()) == (3, 3)


def test_the_cores_are_as_before_also_if_nobody_takes_the_rest() -> None:
    results = in_threads(abs, range(100), 3)
    next(results)
    results.close()
    assert (torch.get_num_threads(), cores_of_a_new_thread()) == (3, 3)
