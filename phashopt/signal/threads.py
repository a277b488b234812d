"""Many small works at once, one core each: so no core waits for another at the end of every operation.

Where other processes share the cores, such waits made operations on small maps ten times slower.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Yield `work` of each of `items`, in order; no more than twice `threads` are under way or done and not taken.

    One thread is the caller's own. Others know nothing of what was entered here, such as `no_grad`.
    """
    threads = min(threads, len(items))
    if threads <= 1:
        yield from map(work, items)
        return
    under_way: deque[Future[Result]] = deque()
    with _single_cores(threads) as pool:
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) == 2 * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def _single_cores(threads: int) -> Iterator[ThreadPoolExecutor]:
    cores = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        # Setting it in a thread also decides for threads that are born later.
        torch.set_num_threads(cores)
