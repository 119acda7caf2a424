"""What a child of a test finds ready: pqdb and the tests' verbs imported, compiled kernels loaded, nothing opened.

Loading the kernels costs a process about a second the first time it trains; a fork has them for nothing.
"""

import importlib
import pkgutil
from contextlib import suppress
from typing import Any

import pqdb.kernels
import tests.store.children
import tests.stories.children
import tests.stories.damage
import tests.stories.mixed
import tests.stories.workload  # noqa: F401


def load_kernels() -> int:
    """Load every compiled kernel that the cache on disk holds. -> how many."""
    loaded = 0
    for found in pkgutil.iter_modules(pqdb.kernels.__path__, "pqdb.kernels."):
        for kernel in vars(importlib.import_module(found.name)).values():
            for signature in _cached_signatures(kernel):
                kernel.compile(signature)
                loaded += 1
    return loaded


def _cached_signatures(kernel: Any) -> list[Any]:
    """The signatures numba has on disk for a kernel; none for what is no kernel, or where there is no cache."""
    with suppress(AttributeError, OSError):
        return [signature for signature, *_ in kernel._cache._cache_file._load_index()]
    return []


load_kernels()
