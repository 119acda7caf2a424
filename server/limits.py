"""What the process asks of the system: few heaps, whatever the number of threads, and all open files it may have."""

from __future__ import annotations

import ctypes
import sys

if sys.platform != "win32":
    import resource

_ARENA_MAX = -8  # of glibc's malloc.h
_ARENAS = 2


def few_heaps() -> bool:
    """Tell glibc's allocator to let threads share heaps; False where there is another allocator.

    Left alone, it gives every thread one of its own, and each keeps what its thread once needed. That large arrays go
    back to the system as soon as they are freed is seen to by `pqdb.open`.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_ARENA_MAX, _ARENAS))


def many_files() -> int:
    """Let the process, and those it starts, have as many files open as the system allows it; how many that are.

    An open collection takes seven and a connection one, and the usual limit, 1,024, is of times when that was many.
    """
    if sys.platform == "win32":
        return 0
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
