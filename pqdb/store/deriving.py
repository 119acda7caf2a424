"""What a points store derives from payloads: read from its manifest, and read anew when that changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pqdb.errors import StorageError
from pqdb.store import manifest as manifest_record
from pqdb.store.environment import Environment
from pqdb.store.mapping import Txn
from pqdb.store.state import State
from pqdb.store.tables import DATABASES, Derive, Entry

Maker = Callable[[Mapping[str, Any]], Derive | None]
"""From the caller's manifest to what is to be derived; None: nothing."""


class MissingTablesError(Exception):
    """Another process has made tables since this one opened the environment. Never leaves the store."""


@dataclass(frozen=True)
class Derived:
    """Whether a store has tables, and what fills them."""

    has_tables: bool
    derive: Derive | None


class Deriving:
    """The Derived of a store, kept until its manifest changes."""

    def __init__(self, env: Environment, make: Maker | None) -> None:
        self._env = env
        self._make = make
        self._known: tuple[int, Derived] | None = None

    def of(self, txn: Txn, state: State) -> Derived:
        """As of a transaction. Raises MissingTablesError where the tables' databases were not opened yet."""
        known = self._known
        if known is None or known[0] != state.manifest_seq:
            where = str(self._env.path)
            value = txn.get(b"manifest", db=self._env.dbs["main"])
            manifest, geometry = manifest_record.from_bytes(value, "points", where)
            known = (state.manifest_seq, self.made(manifest, bool(geometry.get("tables"))))
            self._known = known
        if known[1].has_tables and any(name not in self._env.dbs for name in DATABASES):
            raise MissingTablesError
        return known[1]

    def made(self, manifest: Mapping[str, Any], has_tables: bool) -> Derived:
        """For a manifest."""
        if not has_tables:
            return Derived(False, None)
        return Derived(True, self._refuse if self._make is None else self._make(manifest))

    def _refuse(self, _payload: bytes) -> frozenset[Entry]:
        raise StorageError(f"{self._env.path} has payload indexes; opened without them it cannot be written")
