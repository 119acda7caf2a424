"""One snapshot of the truth, for reading: a read transaction and what the process keeps of its commit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import InputError
from pqdb.store import manifest as manifest_record
from pqdb.store.addresses import BYTES, WORDS, rows_at, words_at
from pqdb.store.deriving import MissingTablesError
from pqdb.store.ids import id_from_key, id_key, uuid_text
from pqdb.store.layout import (
    KIND_INT,
    KIND_SHIFT,
    KIND_UUID,
    META_BYTES,
    META_ROWS,
    PAYLOAD_FLAG,
    UNNAMED_SLOT,
    VERSION_MASK,
    bits_at,
    row_key,
    row_of_key,
    run_key,
    run_of_key,
)
from pqdb.store.reading import View
from pqdb.store.snapshot import Addresses, Bits, Snapshot, Snapshots, resolve_meta, resolve_runs
from pqdb.store.sparse import Sparse
from pqdb.store.tables import Tables

_FEW = 48  # below so many rows plain Python beats numpy's fixed costs
_META_WORDS = META_BYTES // 8
_BITS_AT_ONCE = 1 << 18  # rows whose live bits are looked up at a time

Rows = npt.NDArray[np.integer[Any]]


class PointView(View[Snapshot]):
    """A context manager made by `PointStore.read`. Arrays it gave stay valid only inside it."""

    __slots__ = ()

    _snapshots: Snapshots

    def _refreshed(self) -> Snapshot:
        try:
            return super()._refreshed()
        except MissingTablesError:
            self._env.leave(self, self._txn)
            self._env.adopt()
            self._txn = self._env.enter(self)
            return super()._refreshed()

    # -- counts and arrays -----------------------------------------------------------------------------

    @property
    def state(self) -> Snapshot:
        """What this process knows of the commit; the same object as long as it is the newest."""
        return self._snapshot

    @property
    def n_rows(self) -> int:
        """Rows ever written; rows are 0 … n_rows - 1."""
        return self._snapshot.state.n_rows

    @property
    def n_live(self) -> int:
        """Points there are."""
        return self._snapshot.state.n_live

    @property
    def seq(self) -> int:
        """Sequence of the last commit."""
        return self._snapshot.state.seq

    @property
    def forgotten_rows(self) -> int:
        """Rows below this one have no source any more."""
        return min(self._snapshot.state.forgotten_runs * self._snapshots.runs.rows_per_run, self.n_rows)

    @property
    def kept_rows(self) -> int:
        """Rows, dead or alive, whose source is still on disk; of the vector without a name. O(1)."""
        runs = self._snapshots.runs
        missing = -(-self.n_rows // runs.rows_per_run) - int(self._txn.stat(self._env.dbs["runs"])["entries"])
        return self.n_rows - missing * runs.rows_per_run  # (the last run, which may be part full, is never missing)

    @property
    def rows_on_disk(self) -> int:
        """Rows, dead or alive, whose records are still on disk. O(1)."""
        missing = -(-self.n_rows // META_ROWS) - int(self._txn.stat(self._env.dbs["meta"])["entries"])
        return self.n_rows - missing * META_ROWS

    def of_slot(self, slot: int) -> PointView:
        """The same snapshot as another slot has it: its live bits, its source, its count. Raises KeyError."""
        snapshots = self._snapshots.all_slots[slot]
        newest = snapshots.newest
        if newest is None or newest.txn_id != self.txn_id or newest.epoch != self._env.epoch:
            newest = snapshots.refresh(self._txn, self.txn_id, newest)
        return PointView.within(snapshots, self._txn, newest)

    @property
    def sees_every_point(self) -> bool:
        """Whether every point has the vector of this slot."""
        return self._snapshots.slot == UNNAMED_SLOT

    @property
    def live(self) -> Bits:
        """(ceil(n_rows / 8) + 8,) uint8: bit r & 7 of byte r >> 3 says whether row r is alive."""
        return self._snapshot.live

    @property
    def findable(self) -> Bits:
        """The live bits; an empty bitmap where every row is alive."""
        return self._snapshot.findable

    @property
    def runs(self) -> Addresses:
        """(n_runs,) uint64: row r is at runs[r // rows_per_run] + r % rows_per_run * row_bytes; 0: gone."""
        runs = self._snapshot.runs
        if runs is None:
            snapshots = self._snapshots
            runs = resolve_runs(
                self._txn, self._env.dbs, self._snapshot, snapshots.runs.rows_per_run, snapshots.slot
            )
        return runs

    @property
    def meta(self) -> Addresses:
        """(n_pages,) uint64: the record of row r lies at meta[r // 170] + (r % 170) * 24 (layout.py)."""
        meta = self._snapshot.meta
        if meta is None:
            meta = resolve_meta(self._txn, self._env.dbs["meta"], self._snapshot)
        return meta

    @property
    def manifest(self) -> dict[str, Any]:
        """The caller's manifest as of this snapshot."""
        found = self._snapshot.manifest
        if found is None:
            value = self._txn.get(b"manifest", db=self._env.dbs["main"])
            found = manifest_record.from_bytes(value, "points", str(self._env.path))[0]
            self._snapshot.manifest = found
        return found

    @property
    def tables(self) -> Tables:
        """What is derived from payloads; there are tables only where the manifest says so."""
        return Tables(self._txn, self._env.dbs, self.n_rows)

    @property
    def sparse(self) -> Sparse:
        """The vectors of this slot, where it is one of sparse ones."""
        return Sparse(self._txn, self._env.dbs, self._snapshots.slot)

    @property
    def epoch(self) -> int:
        """Of the mapping: addresses are good for one."""
        return self._snapshot.epoch

    # -- points ----------------------------------------------------------------------------------------

    def row_of(self, point_id: int | str) -> int | None:
        """The row of a point, None where there is none. Raises IdError."""
        value = self._txn.get(id_key(point_id), db=self._env.dbs["ids"])
        return None if value is None else int.from_bytes(value, "little")

    def ids_of(self, rows: Rows) -> list[int | str]:
        """The ids of rows (n,), dead or alive (a dead row's string id may be gone: then it is "")."""
        if len(rows) > _FEW:
            return self._ids_of_many(rows)
        meta, ids = self.meta, []
        for row in rows.tolist():
            page, at = divmod(row, META_ROWS)
            word = (int(meta[page]) >> 3) + at * _META_WORDS
            kind = WORDS[word + 2] >> KIND_SHIFT & 3
            ids.append(WORDS[word] if kind == KIND_INT else self._other_id(row, word << 3, kind))
        return ids

    def _ids_of_many(self, rows: Rows) -> list[int | str]:
        at = self._records_of(rows)
        kinds = words_at(at + np.uint64(16)) >> np.uint64(KIND_SHIFT) & np.uint64(3)
        ids: list[int | str] = words_at(at).tolist()
        for place in np.flatnonzero(kinds).tolist():
            ids[place] = self._other_id(int(rows[place]), int(at[place]), int(kinds[place]))
        return ids

    def _other_id(self, row: int, address: int, kind: int) -> str:
        if kind == KIND_UUID:
            return uuid_text(bytes(BYTES[address : address + 16]))
        value = self._txn.get(row_key(row), db=self._env.dbs["texts"])
        return "" if value is None else str(value, "utf-8")

    def _records_of(self, rows: Rows) -> Addresses:
        """(n,) uint64 addresses of row records. Raises InputError where a row is not there."""
        page, at = np.divmod(np.asarray(rows, np.int64), META_ROWS)
        if len(rows) and (page.min() < 0 or int(np.max(rows)) >= self.n_rows):
            raise InputError(
                f"rows are 0 to {self.n_rows - 1:,}, not {int(np.min(rows)):,} to {int(np.max(rows)):,}"
            )
        records: Addresses = self.meta[page] + (at * META_BYTES).astype(np.uint64)
        return records

    def _tails_of(self, rows: Rows) -> npt.NDArray[np.uint64]:
        """(n,) uint64 tail words of row records."""
        if len(rows) > _FEW:
            return words_at(self._records_of(rows) + np.uint64(16))
        meta, tails = self.meta, []
        for row in rows.tolist():
            page, at = divmod(row, META_ROWS)
            tails.append(WORDS[(int(meta[page]) >> 3) + at * _META_WORDS + 2])
        return np.array(tails, np.uint64)

    def versions_of(self, rows: Rows) -> npt.NDArray[np.uint64]:
        """(n,) uint64: the sequence of the commit that last wrote each row's point."""
        return self._tails_of(rows) & np.uint64(VERSION_MASK)

    def payload_of(self, row: int) -> bytes | None:
        """The payload of a row, None where there is none."""
        value = self._txn.get(row_key(row), db=self._env.dbs["payloads"])
        return None if value is None else bytes(value[:-4])

    def payloads_of(self, rows: Rows) -> list[bytes | None]:
        """The payloads of rows; None where there is none."""
        get, db = self._txn.get, self._env.dbs["payloads"]
        payloads: list[bytes | None] = []
        for row, tail in zip(rows.tolist(), self._tails_of(rows).tolist(), strict=True):
            value = get(row_key(row), db=db) if tail & PAYLOAD_FLAG else None
            payloads.append(None if value is None else bytes(value[:-4]))
        return payloads

    def source_of(self, rows: Rows) -> npt.NDArray[np.uint8]:
        """(n, row_bytes) uint8: the source rows, copied. Raises InputError where one is forgotten."""
        runs = self._snapshots.runs
        rows = np.asarray(rows, np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= self.n_rows):
            raise InputError(f"rows are 0 to {self.n_rows - 1:,}, not {rows.min():,} to {rows.max():,}")
        run, at = np.divmod(rows, runs.rows_per_run)
        starts = self.runs[run]
        if not starts.all():
            raise InputError(
                f"row {rows[starts == 0][0]:,} has no source any more: rows below {self.forgotten_rows:,} are forgotten"
            )
        return rows_at(starts + (at * runs.row_bytes).astype(np.uint64), runs.row_bytes)

    def live_rows(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.uint32]:
        """The live rows in [start, stop), ascending, (n,) uint32."""
        stop = self.n_rows if stop is None else min(stop, self.n_rows)
        start = max(start, 0)
        if start >= stop:
            return np.zeros(0, np.uint32)
        first = start & ~7
        bits = np.unpackbits(self.live[first >> 3 : (stop + 7) >> 3], bitorder="little", count=stop - first)
        rows = np.flatnonzero(bits[start - first :]) + start
        return rows.astype(np.uint32)

    def alive_before(self, row: int) -> int:
        """How many rows below this one are alive."""
        row = min(row, self.n_rows)
        whole, rest = row >> 3, int(self.live[row >> 3]) & ((1 << (row & 7)) - 1)
        return int(np.bitwise_count(self.live[:whole]).sum(dtype=np.int64)) + rest.bit_count()

    def kept_runs(self) -> Rows:
        """The numbers of the source runs that are on disk, ascending; reads every key."""
        return self._numbers("runs", lambda key: run_of_key(key)[1], run_key(0, self._snapshots.slot)[:2])

    def kept_pages(self) -> Rows:
        """The numbers of the pages of row records that are on disk, ascending; reads every key."""
        return self._numbers("meta", row_of_key, b"")

    def _numbers(self, name: str, number_of: Callable[[memoryview], int], prefix: bytes) -> Rows:
        cursor = self._txn.cursor(db=self._env.dbs[name])
        try:
            there = cursor.set_range(prefix) if prefix else cursor.first()
            keys = cursor.iternext(values=False) if there else ()
            ours = takewhile(lambda key: key[: len(prefix)] == prefix, keys)
            return np.fromiter((number_of(key) for key in ours), np.int64)
        finally:
            cursor.close()

    def alive_each(self, numbers: Rows, rows_each: int) -> Rows:
        """(n,) int64: how many rows are alive in each group of `rows_each` rows, by the groups' numbers (ascending)."""
        counts = np.zeros(len(numbers), np.int64)
        step = max(1, _BITS_AT_ONCE // rows_each)
        for at in range(0, len(numbers), step):
            some = numbers[at : at + step]
            rows = (some[:, None] * rows_each + np.arange(rows_each)).ravel()
            rows[rows >= self.n_rows] = self.n_rows  # where the bitmap has zeros
            counts[at : at + step] = bits_at(self.live, rows).reshape(-1, rows_each).sum(axis=1)
        return counts

    def scan_ids(self, start_id: int | str | None = None, limit: int = 100) -> list[tuple[int | str, int]]:
        """Up to `limit` (id, row) in id order (integers, UUIDs, strings), from `start_id` on."""
        found: list[tuple[int | str, int]] = []
        cursor = self._txn.cursor(db=self._env.dbs["ids"])
        try:
            there = cursor.first() if start_id is None else cursor.set_range(id_key(start_id))
            while there and len(found) < limit:
                key, value = cursor.item()
                found.append((id_from_key(key), int.from_bytes(value, "little")))
                there = cursor.next()
        finally:
            cursor.close()
        return found
