"""What the allocator does with memory that was freed: glibc's, where that is the allocator, and no other.

Whoever uses the process beside us may have said in its environment how glibc is to do it; then it is left alone.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_EARLY = 1 << 18  # bytes from which a freed array goes back to the system at once [M] …
_LATE = 32 << 20  # … and while freed memory is kept: the most glibc takes
_TRIM_EARLY, _TRIM_LATE = 16 * _EARLY, (1 << 31) - 1  # bytes free at the end of a heap from which they go back
_HOSTS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1  # of glibc's mallopt

_keeping: set[object] = set()  # who keep freed memory now; where two meet without a lock, one may not keep for a while


def return_early() -> None:
    """From now on a freed array goes back at once, but while somebody keeps it.

    Left alone, glibc learns from the first large array that is freed to keep up to 64 MB, and lets what comes next lie
    on it: two lists of LMDB's, 3 MB an environment and hardly ever written, then take memory of their own.
    """
    if not _keeping:
        _set_thresholds(_EARLY, _TRIM_EARLY)


@contextmanager
def keep_freed() -> Iterator[None]:
    """Meanwhile freed arrays stay with the process, and all goes back when the last who keeps has ended. A build that
    gave them back at once spent a quarter of its time on the system's making new pages for the next ones [M].
    """
    me = object()
    _keeping.add(me)
    _set_thresholds(_LATE, _TRIM_LATE)
    try:
        yield
    finally:
        _keeping.discard(me)
        if not _keeping:
            return_early()
            give_back()


def give_back() -> None:
    """Let the allocator return what it keeps of freed memory, where it can be asked to."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


def _set_thresholds(mapped: int, trimmed: int) -> None:
    library = _glibc()
    said = any(name in os.environ for name in _HOSTS) or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if library is not None and not said:
        library.mallopt(_MMAP_THRESHOLD, mapped)
        library.mallopt(_TRIM_THRESHOLD, trimmed)


def _begin_anew() -> None:
    """A forked child has none of its parent's threads: nobody keeps there."""
    if _keeping:
        _keeping.clear()
        return_early()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "malloc_trim") and hasattr(library, "mallopt") else None
