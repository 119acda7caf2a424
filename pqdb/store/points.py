"""The truth of a collection: points under their ids, on disk before a write is acknowledged.

Rows are dense, only ever appended, and never reused: an update is a dead old row and a new one. Databases of
the environment (values laid out as in layout.py, state.py, manifest.py, ids.py says what an id's key is):

main      "manifest" → sealed JSON; "state" (and u16 slot, of vectors with names) → sealed state record
ids       id key → u32 row, of living points only
runs      u16 slot, u32 run → source rows (slots.py)
meta      u32 page → 170 row records
sums      u32 page → u32 crc32 of that meta page
live      u32 piece → live bits; u16 slot, u32 piece → which rows have the vector of a slot from 1 on
texts     u32 row → UTF-8 of a string id
payloads  u32 row → sealed payload

and, once there are payload indexes, ``postings`` and ``orders`` (tables.py); where there are sparse vectors, ``sparse``
and ``segments`` (sparse.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pqdb.store import manifest as manifest_record
from pqdb.store import slots, sparse, state, tables
from pqdb.store.batch import PointBatch
from pqdb.store.deriving import Deriving, Maker
from pqdb.store.environment import Environment
from pqdb.store.group import GroupCommit
from pqdb.store.handle import Handle
from pqdb.store.layout import UNNAMED_SLOT, Runs
from pqdb.store.mapping import Txn
from pqdb.store.snapshot import Snapshot, Snapshots
from pqdb.store.state import State
from pqdb.store.verify import verify_points
from pqdb.store.view import PointView

T = TypeVar("T")

DATABASES = ("main", "ids", "runs", "meta", "sums", "live", "texts", "payloads")


class PointStore(Handle):
    """A handle of one points environment. Threads may share it; a forked child may not."""

    KIND = "points"
    DATABASES = DATABASES
    OPTIONAL = tables.DATABASES + sparse.DATABASES

    def __init__(
        self, env: Environment, runs: Mapping[int, Runs], readonly: bool = False, maker: Maker | None = None
    ) -> None:
        super().__init__(env, readonly)
        self.geometry = runs
        self._runs = runs[UNNAMED_SLOT]
        self._deriving = Deriving(env, maker)
        self._all_snapshots: dict[int, Snapshots] = {}
        for slot, each in runs.items():
            self._all_snapshots[slot] = Snapshots(env, each, self._deriving, slot, self._all_snapshots)
        self._snapshots = self._all_snapshots[UNNAMED_SLOT]
        self._group = GroupCommit(lambda: PointBatch(env, runs, self._deriving))

    @property
    def row_bytes(self) -> int:
        """Bytes of a source row."""
        return self._runs.row_bytes

    @property
    def rows_per_run(self) -> int:
        """Source rows of a run."""
        return self._runs.rows_per_run

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        manifest: Mapping[str, Any],
        row_bytes: int | Sequence[int],
        n_sparse: int = 0,
        *,
        map_size: int | None = None,
    ) -> PointStore:
        """A new store in a folder that holds none. `row_bytes`: of a source row; of each vector where they have names,
        in the order of their slots from 1 on. n_sparse: sparse vectors behind those. Raises InputError, StorageError.
        """
        runs = slots.geometry(row_bytes, n_sparse)
        value = manifest_record.to_bytes("points", manifest, slots.to_record(runs))
        records = {b"manifest": value, **{state.key_of(slot): State.empty().to_bytes() for slot in runs}}
        names = DATABASES + (sparse.DATABASES if n_sparse else ())
        return cls(Environment.create(path, names, records, map_size, cls.OPTIONAL), runs)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        readonly: bool = False,
        *,
        map_size: int | None = None,
        maker: Maker | None = None,
    ) -> PointStore:
        """An existing store. `maker` says what is derived from payloads, where the manifest names tables.

        Raises NotADatabaseError, FormatError, CorruptError, StorageError and kin.
        """
        env, _, geometry = cls._open_env(path, readonly, map_size)
        return cls(env, slots.from_record(geometry), readonly, maker)

    def read(self) -> PointView:
        """One snapshot: ``with store.read() as view``."""
        self._refuse_closed()
        return PointView(self._snapshots)

    def within(self, txn: Txn, snapshot: Snapshot) -> PointView:
        """A view in a transaction that somebody else holds: of this snapshot's commit."""
        return PointView.within(self._snapshots, txn, snapshot)

    def write(self) -> PointBatch:
        """One commit: ``with store.write() as batch``."""
        self._refuse_unwritable()
        return PointBatch(self.env, self.geometry, self._deriving)

    def provide_tables(self) -> None:
        """Make the databases that tables lie in, if they are not there yet."""
        self._refuse_unwritable()
        self.env.provide(tables.DATABASES)

    def commit(self, change: Callable[[PointBatch], T]) -> T:
        """Run a change in a commit, its own or one shared with other threads that write now. -> what it returned,
        once it is on disk; what it raises leaves no trace. It may be run more than once, and must do the same then.
        """
        self._refuse_unwritable()
        return self._group.run(change)

    def refuse_closed(self) -> None:
        """Raise ClosedError once the store is closed."""
        self._refuse_closed()

    def slot(self, number: int) -> SlotStore:
        """This store as one slot has it. Raises KeyError."""
        return SlotStore(self, number, self._deriving, self._group, self._all_snapshots)

    def _forget(self) -> None:
        for snapshots in self._all_snapshots.values():
            snapshots.newest = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The caller's manifest as of the last commit."""
        with self.read() as view:
            return view.manifest

    def compact(self) -> None:
        """Copy what is in use into a fresh file and go on there; Environment.compact."""
        self.env.compact()

    def verify(self) -> list[str]:
        """Read everything and compare it with its checksums and with each other. -> problems, [] if sound."""
        return verify_points(self.env, self.geometry, self._deriving)


class SlotStore(PointStore):
    """A points store whose vectors are those of one slot, and whose living rows are those that have one. The store it
    is part of is who opens and closes.
    """

    def __init__(
        self,
        whole: PointStore,
        slot: int,
        deriving: Deriving,
        group: GroupCommit[PointBatch],
        all_snapshots: dict[int, Snapshots],
    ) -> None:
        Handle.__init__(self, whole.env, whole.readonly)
        self.geometry = whole.geometry
        self._whole = whole
        self._runs = whole.geometry[slot]
        self._deriving, self._group, self._all_snapshots = deriving, group, all_snapshots
        self._snapshots = all_snapshots[slot]

    def close(self) -> None:
        """Nothing: the whole store is closed."""

    def _refuse_closed(self) -> None:
        self._whole.refuse_closed()
