"""Names and what they stand for: collections and aliases of a database.

Databases of the environment: ``main`` "manifest" → sealed JSON; ``collections`` UTF-8 name → sealed JSON
record; ``aliases`` UTF-8 alias → sealed UTF-8 name. The LMDB transaction id tells whether anything changed
since.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import lmdb

from pqdb.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    CorruptError,
    InputError,
)
from pqdb.store import manifest as manifest_record
from pqdb.store.datafile import Pulse
from pqdb.store.environment import Environment
from pqdb.store.faults import raise_ours
from pqdb.store.handle import Handle
from pqdb.store.layout import seal, unseal
from pqdb.store.mapping import Txn, put_anew
from pqdb.store.write import WriteBatch

DATABASES = ("main", "collections", "aliases")
MAX_NAME_BYTES = 500  # LMDB's longest key has 511

T = TypeVar("T")


@dataclass(frozen=True)
class Names:
    """All names as of one commit."""

    txn_id: int
    collections: Mapping[str, Mapping[str, Any]]
    aliases: Mapping[str, str]

    def find(self, name: str) -> Mapping[str, Any] | None:
        """The record of a collection, by its name or an alias."""
        record = self.collections.get(name)
        return record if record is not None else self.collections.get(self.aliases.get(name, ""))

    @property
    def keys(self) -> set[str]:
        """The uuids of all collections."""
        return {record["uuid"] for record in self.collections.values()}

    def name_of(self, key: str) -> str | None:
        """The name of the collection with this uuid, whatever it was called when it was opened."""
        return next((name for name, record in self.collections.items() if record["uuid"] == key), None)

    def own(self, name: str) -> str:
        """The name that an alias stands for; any other as it is."""
        return self.aliases.get(name, name)


class Catalog(Handle):
    """A handle of one catalog environment. Threads may share it; a forked child may not."""

    KIND = "catalog"
    DATABASES = DATABASES

    def __init__(self, env: Environment, readonly: bool = False) -> None:
        super().__init__(env, readonly)
        self._names: Names | None = None
        self._pulse = Pulse(env.path)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        manifest: Mapping[str, Any] | None = None,
        *,
        map_size: int | None = None,
    ) -> Catalog:
        """A new, empty catalog in a folder that holds none. Raises StorageError."""
        records = {b"manifest": manifest_record.to_bytes("catalog", manifest or {}, {})}
        return cls(Environment.create(path, DATABASES, records, map_size))

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], readonly: bool = False, *, map_size: int | None = None
    ) -> Catalog:
        """An existing catalog. Raises NotADatabaseError, FormatError, CorruptError, StorageError and kin."""
        env, _, _ = cls._open_env(path, readonly, map_size)
        return cls(env, readonly)

    def names(self) -> Names:
        """All names now; costs a fraction of a microsecond where nothing changed since the last call."""
        self._refuse_closed()
        self.env.gate.refuse_if_shut()
        known = self._names
        if known is not None and known.txn_id == self._pulse.txn_id():
            return known
        env, reader = self.env, object()
        txn = env.enter(reader)
        try:
            names = self._names
            if names is None or names.txn_id != txn.id():
                names = self._names = self._read(txn)
            return names
        except lmdb.Error as error:
            raise_ours(error, env.path)
        finally:
            env.leave(reader, txn)

    def still(self, txn_id: int | None) -> bool:
        """Whether names are those of this commit now, of a catalog that is open and was not forked."""
        if txn_id is None or not self._open or self.env.gate.shut is not None:
            return False
        return txn_id == self._pulse.txn_id()

    def txn_id(self) -> int:
        """The id of the last commit: equal ids, equal names."""
        return self.names().txn_id

    def write(self) -> CatalogBatch:
        """One commit: ``with catalog.write() as batch``."""
        self._refuse_unwritable()
        return CatalogBatch(self.env)

    def verify(self) -> list[str]:
        """Read everything and compare it with its checksums. -> problems, [] if sound."""
        problems = self.env.structural_problems()
        if not problems:
            try:
                self._names = None
                self.names()
            except CorruptError as error:
                problems.append(str(error))
        return problems

    def _forget(self) -> None:
        self._pulse.close()

    def _read(self, txn: Txn) -> Names:
        where = str(self.path)
        collections = {
            str(key, "utf-8"): json.loads(unseal(value, f"a collection's record in {where}"))
            for key, value in txn.cursor(db=self.env.dbs["collections"])
        }
        aliases = {
            str(key, "utf-8"): unseal(value, f"an alias in {where}").decode()
            for key, value in txn.cursor(db=self.env.dbs["aliases"])
        }
        return Names(txn.id(), collections, aliases)


class CatalogBatch(WriteBatch):
    """A context manager made by `Catalog.write`: commits on a clean exit, forgets everything on an error."""

    def get(self, name: str) -> dict[str, Any] | None:
        """The record of a collection as this batch sees it."""
        return self._run(lambda txn: self._get(txn, name))

    def add(self, name: str, record: Mapping[str, Any]) -> None:
        """Name a new collection. Raises CollectionExistsError where the name, as name or alias, is taken."""
        key, value = _key(name), seal(json.dumps(record).encode())

        def put(txn: Txn) -> None:
            self._refuse_taken(txn, name)
            txn.put(key, value, db=self._dbs["collections"])

        self._run(put)

    def replace(self, name: str, record: Mapping[str, Any]) -> None:
        """Change the record of a collection. Raises CollectionNotFoundError."""
        key, value = _key(name), seal(json.dumps(record).encode())

        def put(txn: Txn) -> None:
            self._refuse_missing(txn, name)
            put_anew(txn, self._dbs["collections"], key, value)

        self._run(put)

    def remove(self, name: str) -> dict[str, Any] | None:
        """Forget a collection and its aliases. -> its record, None where there was none."""

        def remove(txn: Txn) -> dict[str, Any] | None:
            record = self._get(txn, name)
            txn.delete(_key(name), db=self._dbs["collections"])
            self._point_aliases(txn, name, None)
            return record

        return self._run(remove)

    def rename(self, old: str, new: str) -> None:
        """Give a collection another name; its aliases follow. Raises CollectionNotFound-, -ExistsError."""
        key = _key(new)

        def rename(txn: Txn) -> None:
            self._refuse_missing(txn, old)
            self._refuse_taken(txn, new)
            value = txn.pop(_key(old), db=self._dbs["collections"])
            txn.put(key, bytes(value or b""), db=self._dbs["collections"])
            self._point_aliases(txn, old, new)

        self._run(rename)

    def set_alias(self, alias: str, name: str) -> None:
        """Let an alias stand for a collection. Raises CollectionNotFoundError, CollectionExistsError."""
        key = _key(alias)

        def put(txn: Txn) -> None:
            self._refuse_missing(txn, name)
            if self._get(txn, alias) is not None:
                raise CollectionExistsError(f"there is a collection {alias!r}: an alias needs another name")
            txn.put(key, seal(name.encode()), db=self._dbs["aliases"])

        self._run(put)

    def remove_alias(self, alias: str) -> bool:
        """Forget an alias. -> whether there was one."""
        return self._run(lambda txn: txn.delete(_key(alias), db=self._dbs["aliases"]))

    def _run(self, operation: Callable[[Txn], T]) -> T:
        self._changed = True
        return super()._run(operation)

    def _get(self, txn: Txn, name: str) -> dict[str, Any] | None:
        value = txn.get(_key(name), db=self._dbs["collections"])
        if value is None:
            return None
        record: dict[str, Any] = json.loads(unseal(value, f"the record of collection {name!r}"))
        return record

    def _refuse_missing(self, txn: Txn, name: str) -> None:
        if self._get(txn, name) is None:
            raise CollectionNotFoundError(f"there is no collection {name!r}")

    def _refuse_taken(self, txn: Txn, name: str) -> None:
        if self._get(txn, name) is not None:
            raise CollectionExistsError(f"there is a collection {name!r} already")
        if txn.get(_key(name), db=self._dbs["aliases"]) is not None:
            raise CollectionExistsError(f"{name!r} is an alias already")

    def _point_aliases(self, txn: Txn, old: str, new: str | None) -> None:
        found = [
            bytes(key)
            for key, value in txn.cursor(db=self._dbs["aliases"])
            if unseal(value, "an alias") == old.encode()
        ]
        for key in found:
            if new is None:
                txn.delete(key, db=self._dbs["aliases"])
            else:
                txn.put(key, seal(new.encode()), db=self._dbs["aliases"])


def _key(name: str) -> bytes:
    key = name.encode()
    if not 1 <= len(key) <= MAX_NAME_BYTES:
        raise InputError(f"a name has 1 to {MAX_NAME_BYTES} bytes of UTF-8, not {len(key)}")
    return key
