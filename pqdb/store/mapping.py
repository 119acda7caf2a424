"""What LMDB needs to be asked in another way than one would: a map of as much address space as there may be, made
larger by any process at any time, and values of another size.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import lmdb

from pqdb.errors import StorageError
from pqdb.store import lockfile
from pqdb.store.faults import mapping_errors

DEFAULT_BYTES = 64 << 30  # address space, not memory, not disk; growing it later is what costs
_FIRST_BYTES = 1 << 20
_MAX_DATABASES = 16

T = TypeVar("T")
Txn: TypeAlias = "lmdb.Transaction[memoryview]"  # the class cannot be subscripted at run time


def write_first(folder: Path, names: Sequence[str], records: Mapping[bytes, bytes]) -> None:
    """A new environment's named databases, and the records of the first, in one commit."""
    lockfile.provide(folder)
    raw = lmdb.open(
        str(folder), map_size=_FIRST_BYTES, max_dbs=_MAX_DATABASES, max_readers=lockfile.MAX_READERS, lib_version=0
    )
    try:
        with raw.begin(write=True) as txn:
            dbs = [raw.open_db(name.encode(), txn=txn) for name in names]
            for key, value in records.items():
                txn.put(key, value, db=dbs[0])
    finally:
        raw.close()


def open_map(
    folder: Path, called: Path, map_bytes: int, least_bytes: int, readonly: bool, lock: bool
) -> tuple[lmdb.Environment, int]:
    """An environment mapped, and the bytes of its map: as many as wished, or fewer where the process may not have so
    many, but four times what is needed. `called` is the folder's name in errors. Raises StorageError and kin.
    """
    if lock:
        lockfile.provide(folder)
    while True:
        try:
            with mapping_errors(called, writing=True):
                raw = lmdb.open(
                    str(folder),
                    map_size=map_bytes,
                    max_dbs=_MAX_DATABASES,
                    max_readers=lockfile.MAX_READERS,
                    readonly=readonly,
                    lock=lock,
                    create=False,
                )
            return raw, map_bytes
        except StorageError as error:
            if error.errno != errno.ENOMEM or map_bytes < 4 * least_bytes:
                raise
            map_bytes //= 2


def at_its_size(begin: Callable[[], T], adopt: Callable[[], object]) -> T:
    """What begins a transaction gives. The map is made as large as another process has made it, as often as that
    happens: one may grow it between any two steps of ours.
    """
    while True:
        try:
            return begin()
        except lmdb.MapResizedError:
            adopt()


def open_dbs(raw: lmdb.Environment, names: Sequence[str], optional: Sequence[str], readonly: bool) -> dict[str, Any]:
    """Databases of a map that nobody else of this process reads; `optional` may be missing. Raises NotFoundError."""

    def adopt() -> None:
        raw.set_mapsize(0)

    if readonly:
        return at_its_size(lambda: {**dbs_in(raw, None, names), **dbs_there(raw, None, optional)}, adopt)
    txn = at_its_size(lambda: raw.begin(write=True, buffers=True), adopt)
    try:
        found = {**dbs_in(raw, txn, names), **dbs_there(raw, txn, optional)}
        txn.commit()
    finally:
        txn.abort()
    return found


def dbs_in(raw: lmdb.Environment, txn: Txn | None, names: Sequence[str]) -> dict[str, Any]:
    """Databases, opened in a write transaction, which has to be committed, or, in a map to be read only, in none.
    Without one py-lmdb begins it by itself and holds the GIL meanwhile: it would wait for ever for a writer who waits
    for that.
    """
    return {name: raw.open_db(name.encode(), txn=txn, create=False) for name in names}


def dbs_there(raw: lmdb.Environment, txn: Txn | None, names: Sequence[str]) -> dict[str, Any]:
    """Those of the databases that are there, opened likewise."""
    found: dict[str, Any] = {}
    for name in names:
        with suppress(lmdb.NotFoundError):
            found |= dbs_in(raw, txn, [name])
    return found


def begin_read(raw: lmdb.Environment) -> Txn:
    """A read transaction of a map that nobody else of this process reads."""
    return at_its_size(lambda: raw.begin(buffers=True), lambda: raw.set_mapsize(0))


def put_anew(txn: Txn, db: Any, key: bytes, value: bytes | bytearray | memoryview) -> None:
    """Put a value that may have had another size before.

    LMDB would write a smaller value over a larger one of the same transaction and leave the page count of the
    larger, which `lmdb.verify` takes for damage.
    """
    old = txn.get(key, db=db)
    if old is not None and len(old) != len(value):
        txn.delete(key, db=db)
    txn.put(key, value, db=db)
