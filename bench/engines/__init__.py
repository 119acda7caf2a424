"""Every engine of the benches, by name; each module imports its package only when its process builds it."""

from importlib import import_module
from types import ModuleType

MODULES = {
    "pqdb": "bench.engines.pqdb_",
    "faiss": "bench.engines.faiss_",
    "scann": "bench.engines.scann_",
    "scann-core": "bench.engines.scann_",
    "hnswlib": "bench.engines.hnswlib_",
    "turbovec": "bench.engines.turbovec_",
    "exact": "bench.engines.exact_",
}

DEFAULT = ("pqdb", "faiss", "scann", "scann-core", "hnswlib", "turbovec")


def module_of(engine: str) -> ModuleType:
    """The module of an engine: has `specs(...)` and `build(spec)`."""
    if engine not in MODULES:
        raise ValueError(f"no engine {engine!r}; there are {', '.join(MODULES)}")
    return import_module(MODULES[engine])
