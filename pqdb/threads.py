"""The process's own threads: one a core, for kernels, which release the GIL. Numba's `parallel=True` is not used: it
aborts beside a host's own threads.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import TypeVar

AHEAD = 4  # parts a core that one caller has under way or waiting: another need not wait for all of them

_T = TypeVar("_T")
_R = TypeVar("_R")
_alone = threading.local()


@cache
def pool() -> ThreadPoolExecutor:
    """The threads, started when first asked for."""
    return ThreadPoolExecutor(max_workers=cores(), thread_name_prefix="pqdb", initializer=_stay_alone)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)  # a forked child has none of its parent's threads


@contextmanager
def on_this_thread() -> Iterator[None]:
    """What this thread would share out, it does by itself: background work leaves the other cores to those who wait."""
    before = is_alone()
    _alone.on = True
    try:
        yield
    finally:
        _alone.on = before


def is_alone() -> bool:
    """Whether this thread shares nothing out."""
    return getattr(_alone, "on", False)


def share_out(work: Callable[[_T], _R], parts: Sequence[_T]) -> Iterable[_R]:
    """What `work` makes of each part, in order, on all cores.

    Where one fails, or the caller is interrupted, no part is under way any more when he gets to know: it may read what
    he would give back then.
    """
    if len(parts) < 2 or is_alone():
        return map(work, parts)
    return _in_order(work, parts)


def _in_order(work: Callable[[_T], _R], parts: Sequence[_T]) -> Iterator[_R]:
    rest = iter(parts)
    under_way: deque[Future[_R]] = deque()
    try:
        for part in islice(rest, AHEAD * cores()):
            under_way.append(pool().submit(work, part))
        while under_way:
            yield under_way[0].result()
            under_way.popleft()
            for part in islice(rest, 1):
                under_way.append(pool().submit(work, part))
    finally:
        for each in under_way:
            each.cancel()
        _wait_for(under_way)


def _wait_for(under_way: Iterable[Future[_R]]) -> None:
    """Until all have ended. Who is impatient and interrupts again is told of the first time afterwards."""
    while True:
        try:
            wait(under_way)
            return
        except KeyboardInterrupt:
            continue


def share_rows(work: Callable[[slice], object], n: int, each: int) -> None:
    """Work on n rows, at most `each` of them at a time, on all cores."""
    for _ in share_out(work, [slice(start, min(n, start + each)) for start in range(0, n, each)]):
        pass


def _stay_alone() -> None:
    """A thread of the pool that waited for others of the pool would wait for ever."""
    _alone.on = True
