"""Compile options and the on-disk cache of compiled kernels, in one place.

numba's own cache watches one source file a kernel, so an edited intrinsic would leave stale code behind. Ours lives
in a folder named by a hash of everything in kernels/ and by the kernel family, under PQDB_CACHE_DIR or the user's
cache folder.
"""

import functools
import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

from pqdb.errors import KernelCacheWarning
from pqdb.kernels._cpu import JIT_OFF, KERNEL

F = TypeVar("F", bound=Callable[..., Any])

# reassoc and contract let sums vectorise and fuse; nnan and ninf stay out: NaN and infinity must keep their meaning.
FASTMATH = {"nsz", "arcp", "contract", "afn", "reassoc"}


def kernel(function: F) -> F:
    """Compile `function` on first use: no GIL, sums in any order, cached on disk."""
    return _compiled(function)


def kernel_inline(function: F) -> F:
    """As `kernel`, always inlined: for what runs once a group, where passing the arrays cost more than the
    arithmetic.
    """
    return _compiled(function, inline=True)


def kernel_with_arrays(function: F) -> F:
    """As `kernel`, and may make arrays. Those who hold an array are then counted, in memory that cores share, wherever
    one is passed on or cut: too dear for what runs once a list or a row.
    """
    return _compiled(function, arrays=True)


def kernel_inline_with_arrays(function: F) -> F:
    """As `kernel_with_arrays`, always inlined."""
    return _compiled(function, inline=True, arrays=True)


def _compiled(function: F, inline: bool = False, arrays: bool = False) -> F:
    if JIT_OFF:
        return function
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": FASTMATH,
        "error_model": "numpy",
        "forceinline": inline,
        "_nrt": arrays,
        "no_cfunc_wrapper": True,  # nobody calls kernels from C
    }
    dispatcher = numba.njit(**options)(function)
    if cache_folder() is not None:
        dispatcher._cache = _KernelCache(function)  # type: ignore[no-untyped-call]  # noqa: SLF001 - numba has no other way in
    return cast(F, dispatcher)


@functools.cache
def kernels_hash() -> str:
    """Hash of the source of every kernel."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def cache_folder() -> Path | None:
    """The folder compiled kernels are kept in, made if need be; None, with a warning, where none can be written."""
    home = os.environ.get("PQDB_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path("~").expanduser() / ".cache"
    folder = base / "pqdb" / f"kernels-{kernels_hash()}-{KERNEL}"
    try:
        fresh = not folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as problem:
        warnings.warn(
            f"compiled kernels cannot be kept in {folder} ({problem.strerror}): every new process compiles them again; "
            "PQDB_CACHE_DIR can name a writable folder",
            KernelCacheWarning,
            stacklevel=2,
        )
        return None
    if fresh:
        sys.stderr.write(f"pqdb: compiling {KERNEL} kernels for this CPU on first use (once, some seconds)\n")
    return folder


class _Locator(caching._CacheLocator):  # noqa: SLF001
    """Tells numba to keep a kernel in our folder; the folder's name is the freshness stamp."""

    def __init__(self, py_func: Callable[..., Any], folder: Path) -> None:
        self._folder = folder
        self._py_file = py_func.__code__.co_filename
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return self._folder.name

    def get_disambiguator(self) -> str:
        return str(self._line)

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator | None":
        del py_file
        folder = cache_folder()
        return None if folder is None else cls(py_func, folder)


class _Impl(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - numba's attribute


class _KernelCache(caching.FunctionCache):
    _impl_class = _Impl
