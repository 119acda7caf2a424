"""How the process keeps memory: few heaps, whatever the number of threads."""

from __future__ import annotations

import ctypes

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
