"""One write to the truth: everything in it is committed together, durably, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self, TypeVar

import lmdb
import numpy as np

from pqdb.errors import InputError, StorageError
from pqdb.store import layout, slots, state
from pqdb.store import manifest as manifest_record
from pqdb.store.column import Column, Numbers, Rows
from pqdb.store.deriving import Deriving, MissingTablesError
from pqdb.store.environment import Environment
from pqdb.store.ids import TEXT, id_from_key, id_keys
from pqdb.store.layout import (
    KIND_INT,
    KIND_TEXT,
    KIND_UUID,
    META_BYTES,
    META_ROWS,
    UNNAMED_SLOT,
    Runs,
    row_key,
)
from pqdb.store.mapping import Txn, put_anew
from pqdb.store.records import Records, Words, change_tail, has_payload, kind_of, new_records
from pqdb.store.slots import Bytes, Given, Sources
from pqdb.store.sparse import SparseColumn
from pqdb.store.state import State
from pqdb.store.tables import Changes, Derive, drop_table
from pqdb.store.write import WriteBatch

T = TypeVar("T")

_ENTRIES_AT_ONCE = 2_000_000  # of tables, gathered before they are written: some hundred MB


class Held(NamedTuple):
    """A point as a batch sees it."""

    id: int | str  # in canonical form
    payload: bytes | None
    slots: frozenset[int]  # whose vectors it has


class PointBatch(WriteBatch):
    """A context manager made by `PointStore.write`: commits on a clean exit, forgets everything on an error.

    Nothing is committed, and no sequence used up, where nothing changed.
    """

    seq: int
    """The sequence of this change: one more than the last one's."""

    def __init__(self, env: Environment, runs: Mapping[int, Runs], deriving: Deriving) -> None:
        super().__init__(env)
        self._runs = runs  # of every slot
        self._deriving = deriving
        self._changes = Changes()
        self._columns = {slot: Column(env, slot, each) for slot, each in runs.items()}
        self._columns |= {slot: SparseColumn(env, slot) for slot in slots.sparse(runs)}
        self._points = self._columns[UNNAMED_SLOT]
        self._records = Records(env)
        self._earlier = False  # whether changes before this one changed anything

    def __enter__(self) -> Self:
        try:
            return super().__enter__()
        except MissingTablesError:
            self._env.adopt()
            return super().__enter__()

    def next_change(self) -> None:
        """What follows is the change of another writer, and gets a sequence of its own."""
        self._run(lambda _: self._next_change())

    def _is_empty(self) -> bool:
        return not (self._changed or self._earlier)

    def _start(self, txn: Txn) -> int:
        self._changes = Changes()
        self._state = State.from_bytes(txn.get(state.KEY, db=self._dbs["main"]), str(self._env.path))
        self._records.begin()
        for column in self._columns.values():
            column.begin(txn, self._state)
        self._derived = self._deriving.of(txn, self._state)
        self.seq = self._state.seq + 1
        self._changed = self._earlier = False
        return self._state.seq

    def _next_change(self) -> None:
        self.seq += self._changed
        self._earlier = self._earlier or self._changed
        self._changed = False

    # -- verbs -----------------------------------------------------------------------------------------

    def upsert(
        self,
        ids: Sequence[Any],
        rows: Bytes | Sources,
        payloads: Sequence[bytes | None] | None = None,
    ) -> Rows:
        """Write points, replacing those of the same id. -> (n,) uint32 the new rows, in the order of `ids`.

        rows: (n, row_bytes) uint8, C-contiguous, of the vector without a name; or what every slot is given. Of
        duplicates the last wins, and all get its row. Raises IdError, InputError before anything is written.
        """
        keys = id_keys(ids)
        given: Sources = rows if isinstance(rows, Mapping) else {UNNAMED_SLOT: Given(rows, np.ones(len(rows), bool))}
        self._check(len(keys), given, payloads)
        if not keys:
            return np.zeros(0, np.uint32)
        last = dict(zip(keys, range(len(keys)), strict=True))
        if len(last) == len(keys):
            return self._run(lambda txn: self._upsert(txn, keys, given, payloads))
        kept = sorted(last.values())
        place = {keys[at]: number for number, at in enumerate(kept)}
        kept_payloads = None if payloads is None else [payloads[at] for at in kept]
        kept_rows = {slot: each.take(kept) for slot, each in given.items()}
        written = self._run(lambda txn: self._upsert(txn, list(place), kept_rows, kept_payloads))
        return written[[place[key] for key in keys]]

    def sources_of(self, ids: Sequence[Any]) -> Sources:
        """What points, all of them there, have in every slot as this batch sees it. Raises IdError."""
        keys = id_keys(ids)
        return self._run(lambda txn: self._sources_of(txn, keys))

    def drop_vectors(self, ids: Sequence[Any], named: Sequence[int]) -> int:
        """Take the vectors of some slots, from 1 on, away from points. -> how many of these points there were.

        Raises IdError before anything is written.
        """
        keys = list(dict.fromkeys(id_keys(ids)))
        return self._run(lambda txn: self._drop_vectors(txn, keys, named))

    def delete(self, ids: Sequence[Any]) -> int:
        """Delete points. -> how many of them there were. Raises IdError before anything is written."""
        keys = list(dict.fromkeys(id_keys(ids)))
        return self._run(lambda txn: self._delete(txn, keys))

    def held(self, ids: Sequence[Any]) -> list[Held | None]:
        """What there is under each id as this batch sees it, None where there is no point. Raises IdError."""
        keys = id_keys(ids)
        return self._run(lambda txn: self._held(txn, keys))

    def put_payload(self, point_id: Any, payload: bytes | None) -> bool:
        """Replace a point's payload, or take it away. -> whether there is such a point. Raises IdError."""
        return bool(self.change_payloads([point_id], lambda _: payload))

    def change_payloads(self, ids: Sequence[Any], change: Callable[[bytes | None], bytes | None]) -> int:
        """Put what `change` makes of each point's payload (None: none) in its place. -> how many points there were.

        Raises IdError before anything is written; what `change` raises ends the batch. The same payload gives the same.
        """
        keys = list(dict.fromkeys(id_keys(ids)))
        return self._run(lambda txn: self._change_payloads(txn, keys, change))

    def expect(self, seq: int) -> None:
        """Go on only if `seq` is the sequence of the last commit, as what was read outside of this batch took it to be.

        Raises StorageError.
        """
        self._run(lambda _: self._expect(seq))

    def forget_source(self, upto_row: int) -> None:
        """Delete the source runs that lie entirely below a row (and are full)."""
        self._run(lambda txn: self._forget_source(txn, upto_row))

    def set_manifest(self, manifest: Mapping[str, Any], tables: bool = False) -> None:
        """Replace the caller's part of the manifest. `tables`: from now on there are tables (Environment.provide)."""
        self._run(lambda txn: self._set_manifest(txn, manifest, tables))

    def fill_table(self, derive: Derive) -> None:
        """Enter into tables what `derive` finds in every payload there is."""
        self._run(lambda txn: self._fill_table(txn, derive))

    def drop_table(self, table: int) -> None:
        """Delete every entry of a table."""
        self._run(lambda txn: self._drop_table(txn, table))

    def reserve(self, rows: Rows) -> Rows:
        """Copy the source of rows behind all others, as rows that are not alive yet. -> (n,) uint32 the new rows.

        rows (n,) ascending, with a source. What `settle` does not bring to life stays dead, and goes like all dead.
        """
        if self._state.n_rows + len(rows) > layout.MAX_ROWS:
            raise InputError(f"{len(rows):,} rows more than {self._state.n_rows:,} would pass {layout.MAX_ROWS:,}")
        return self._run(lambda txn: self._reserve(txn, rows))

    def settle(self, rows: Rows, places: Rows) -> int:
        """Let points move from `rows` to the rows reserved for them: id, payload and version go along, and the old row
        dies. -> how many did; points that were changed or deleted meanwhile stay where they are.
        """
        return self._run(lambda txn: self._settle(txn, rows, places))

    def drop_dead_runs(self, runs: Numbers, slot: int = UNNAMED_SLOT) -> int:
        """Delete those source runs of a slot that are full and hold no living row. -> how many were."""
        return self._run(lambda txn: self._drop_dead_runs(txn, runs, slot))

    def drop_dead_pages(self, pages: Numbers) -> int:
        """Delete those pages of row records that are full and hold no living row. -> how many were."""
        return self._run(lambda txn: self._drop_dead_pages(txn, pages))

    # -- how -------------------------------------------------------------------------------------------

    def _run(self, operation: Callable[[Txn], T]) -> T:
        return super()._run(lambda txn: self._after_what_came_before(txn, operation))

    def _after_what_came_before(self, txn: Txn, operation: Callable[[Txn], T]) -> T:
        """One operation, with the entries of those before it written: it may take away what they have added."""
        self._flush(txn)
        return operation(txn)

    def _flush(self, txn: Txn) -> None:
        if len(self._changes):
            self._changes.flush(txn, self._dbs)

    def _check(self, n: int, given: Sources, payloads: Sequence[bytes | None] | None) -> None:
        wanted = slots.with_vectors(self._runs)
        if sorted(given) != wanted:
            raise InputError(f"expected source rows of slots {wanted}, not of {sorted(given)}")
        for slot, each in given.items():
            self._columns[slot].refuse_unfit(n, each)
        if payloads is not None and len(payloads) != n:
            raise InputError(f"expected {n} payloads, one an id, not {len(payloads)}")
        if self._state.n_rows + n > layout.MAX_ROWS:
            raise InputError(
                f"a collection has at most {layout.MAX_ROWS:,} rows in its life; {self._state.n_rows:,} "
                f"are used, {n:,} more do not fit: rebuild it"
            )

    # -- upsert ----------------------------------------------------------------------------------------

    def _upsert(
        self, txn: Txn, keys: list[bytes], given: Sources, payloads: Sequence[bytes | None] | None
    ) -> Rows:
        first, n = self._state.n_rows, len(keys)
        order = sorted(range(n), key=keys.__getitem__)
        self._kill(txn, [row for _, row in self._rows_of(txn, [keys[at] for at in order])])
        new_rows = np.arange(first, first + n, dtype=np.uint32)
        self._state = self._state.grown(first + n)
        for slot, each in given.items():
            self._columns[slot].write(txn, first, each)
            if slot != UNNAMED_SLOT:
                self._columns[slot].mark(txn, first + np.flatnonzero(each.has))
        self._records.append(txn, first, new_records(keys, payloads, self.seq))
        self._append(txn, "texts", [(first + at, key[1:]) for at, key in enumerate(keys) if key[:1] == TEXT])
        if payloads is not None:
            written = [(first + at, payload) for at, payload in enumerate(payloads) if payload is not None]
            self._append(txn, "payloads", [(row, layout.seal(payload)) for row, payload in written])
            if self._derived.derive is not None:
                for row, payload in written:
                    self._changes.add(row, self._derived.derive(payload))
        row_bytes = new_rows.astype("<u4").tobytes()
        _cursor(txn, self._dbs["ids"]).putmulti([(keys[at], row_bytes[4 * at : 4 * at + 4]) for at in order])
        self._points.mark_all(txn, first, first + n)
        self._changed = True
        return new_rows

    def _append(self, txn: Txn, name: str, values: list[tuple[int, bytes]]) -> None:
        """Put values under new rows: always behind the last key there is."""
        _cursor(txn, self._dbs[name]).putmulti([(row_key(row), value) for row, value in values], append=True)

    # -- delete ----------------------------------------------------------------------------------------

    def _delete(self, txn: Txn, keys: list[bytes]) -> int:
        found = self._rows_of(txn, sorted(keys))
        for key, _ in found:
            txn.delete(key, db=self._dbs["ids"])
        self._kill(txn, [row for _, row in found])
        return len(found)

    def _rows_of(self, txn: Txn, keys: list[bytes]) -> list[tuple[bytes, int]]:
        """(key, row) of those keys that are there."""
        found = _cursor(txn, self._dbs["ids"]).getmulti(keys)
        return [(bytes(key), int.from_bytes(value, "little")) for key, value in found]

    def _kill(self, txn: Txn, rows: list[int]) -> None:
        """Clear the live bits of rows, and drop their payloads and texts."""
        if not rows:
            return
        dead = np.sort(np.array(rows, np.uint32))
        for row in dead.tolist():
            key = row_key(row)
            if self._derived.derive is not None:
                held = txn.get(key, db=self._dbs["payloads"])
                if held is not None:
                    self._changes.remove(row, self._derived.derive(layout.unseal(held, f"the payload of row {row}")))
            txn.delete(key, db=self._dbs["payloads"])
            txn.delete(key, db=self._dbs["texts"])
        for column in self._columns.values():
            column.kill(txn, dead)
        self._changed = True

    # -- vectors with names ----------------------------------------------------------------------------

    def _sources_of(self, txn: Txn, keys: list[bytes]) -> Sources:
        row_of = dict(self._rows_of(txn, list(set(keys))))
        rows = np.array([row_of[key] for key in keys], np.int64)
        return {slot: column.source_of(txn, rows) for slot, column in self._columns.items() if slot != UNNAMED_SLOT}

    def _drop_vectors(self, txn: Txn, keys: list[bytes], named: Sequence[int]) -> int:
        rows = np.array(sorted(row for _, row in self._rows_of(txn, keys)), np.int64)
        losing = np.zeros(len(rows), bool)
        for slot in named:
            losing |= self._columns[slot].alive(txn, rows)
            self._columns[slot].kill(txn, rows)
        self._touch(txn, rows[losing])
        return len(rows)

    def _touch(self, txn: Txn, rows: Numbers) -> None:
        """Give points that change in place the version of this change."""
        for row in rows.tolist():
            record = self._records.to_change(txn, row)
            change_tail(record, self.seq, has_payload(record))
        self._put_records(txn)
        self._changed = self._changed or len(rows) > 0

    def _put_records(self, txn: Txn) -> None:
        """Write the records that changed in place."""
        self._state = self._records.put(txn, self._state, self.seq)

    # -- the other verbs -------------------------------------------------------------------------------

    def _held(self, txn: Txn, keys: list[bytes]) -> list[Held | None]:
        row_of = dict(self._rows_of(txn, sorted(set(keys))))
        rows = np.array(list(row_of.values()), np.int64)
        alive = {slot: dict(zip(rows.tolist(), each.alive(txn, rows).tolist(), strict=True))
                 for slot, each in self._columns.items()}  # fmt: skip

        def point(key: bytes, row: int) -> Held:
            value = txn.get(row_key(row), db=self._dbs["payloads"])
            payload = None if value is None else bytes(layout.unseal(value, f"the payload of row {row}"))
            return Held(id_from_key(key), payload, frozenset(slot for slot, rows in alive.items() if rows[row]))

        return [point(key, row_of[key]) if key in row_of else None for key in keys]

    def _change_payloads(self, txn: Txn, keys: list[bytes], change: Callable[[bytes | None], bytes | None]) -> int:
        rows = [row for _, row in self._rows_of(txn, keys)]
        for row in rows:
            value = txn.get(row_key(row), db=self._dbs["payloads"])
            held = None if value is None else layout.unseal(value, f"the payload of row {row}")
            self._put_payload(txn, row, held, change(held))
            if self._records.is_full:
                self._put_records(txn)
        self._put_records(txn)
        return len(rows)

    def _put_payload(self, txn: Txn, row: int, held: bytes | None, payload: bytes | None) -> None:
        if self._derived.derive is not None:
            before, after = (
                frozenset() if each is None else self._derived.derive(each) for each in (held, payload)
            )
            self._changes.remove(row, before - after)
            self._changes.add(row, after - before)
        change_tail(self._records.to_change(txn, row), self.seq, payload is not None)
        if payload is None:
            txn.delete(row_key(row), db=self._dbs["payloads"])
        else:
            put_anew(txn, self._dbs["payloads"], row_key(row), layout.seal(payload))
        self._changed = True

    def _forget_source(self, txn: Txn, upto_row: int) -> None:
        self._changed |= self._points.forget(txn, min(upto_row, self._state.n_rows))

    def _expect(self, seq: int) -> None:
        if self._state.seq != seq:
            raise StorageError(
                f"{self._env.path}: another process wrote commit {self._state.seq} after {seq} was read; nothing of "
                "this batch was kept, try it again"
            )

    def _set_manifest(self, txn: Txn, manifest: Mapping[str, Any], tables: bool) -> None:
        tables = tables or self._derived.has_tables
        store = {**slots.to_record(self._runs), **({"tables": True} if tables else {})}
        put_anew(txn, self._dbs["main"], b"manifest", manifest_record.to_bytes("points", manifest, store))
        self._state = replace(self._state, manifest_seq=self.seq)
        self._derived = self._deriving.made(manifest, tables)
        self._changed = True

    def _fill_table(self, txn: Txn, derive: Derive) -> None:
        cursor = _cursor(txn, self._dbs["payloads"])
        for key, value in cursor:
            row = layout.row_of_key(key)
            self._changes.add(row, derive(layout.unseal(value, f"the payload of row {row}")))
            if len(self._changes) > _ENTRIES_AT_ONCE:
                self._flush(txn)
        self._changed = True

    def _drop_table(self, txn: Txn, table: int) -> None:
        drop_table(txn, self._dbs, table)
        self._changed = True

    # -- moving rows -----------------------------------------------------------------------------------

    def _reserve(self, txn: Txn, rows: Rows) -> Rows:
        if not len(rows):
            return np.zeros(0, np.uint32)
        first, n = self._state.n_rows, len(rows)
        held = {slot: column.source_of(txn, rows.astype(np.int64)) for slot, column in self._columns.items()}
        self._state = self._state.grown(first + n)
        for slot, column in self._columns.items():
            column.write(txn, first, held[slot])
        self._records.append(txn, first, np.zeros((n, META_BYTES), np.uint8))
        self._points.provide(txn, first, first + n)
        self._changed = True
        return np.arange(first, first + n, dtype=np.uint32)

    def _settle(self, txn: Txn, rows: Rows, places: Rows) -> int:
        settled: list[tuple[int, int]] = []
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            if not self._points.is_alive(txn, row):
                continue
            record = self._records.of(txn, row)
            self._records.to_change(txn, place)[:] = record
            txn.put(self._id_of(txn, row, record), place.to_bytes(4, "little"), db=self._dbs["ids"])
            for name, there in (("texts", kind_of(record) == KIND_TEXT), ("payloads", has_payload(record))):
                if there:
                    value = bytes(self._env.value(txn, name, row_key(row)))
                    txn.put(row_key(place), value, db=self._dbs[name])
                    if name == "payloads" and self._derived.derive is not None:
                        self._changes.add(place, self._derived.derive(value[:-4]))
            settled.append((row, place))
        if not settled:
            return 0
        old, new = (np.array(side, np.uint32) for side in zip(*settled, strict=True))
        self._put_records(txn)
        moving = {slot: new[column.alive(txn, old)] for slot, column in self._columns.items()}
        self._kill(txn, old.tolist())
        for slot, column in self._columns.items():
            column.mark(txn, moving[slot])
        return len(settled)

    def _id_of(self, txn: Txn, row: int, record: Words) -> bytes:
        """The key of a living row's id."""
        kind = kind_of(record)
        if kind == KIND_INT:
            return bytes([kind]) + int(record[0]).to_bytes(8, "big")
        if kind == KIND_UUID:
            return bytes([kind]) + record[:2].tobytes()
        return bytes([kind]) + bytes(self._env.value(txn, "texts", row_key(row)))

    def _drop_dead_runs(self, txn: Txn, runs: Numbers, slot: int) -> int:
        dropped = self._columns[slot].drop_dead(txn, runs, self._state.n_rows)
        if dropped:
            put_anew(txn, self._dbs["main"], state.DROPPED, state.dropped_to_bytes(self.seq))
            self._changed = True
        return dropped

    def _drop_dead_pages(self, txn: Txn, pages: Numbers) -> int:
        dead = [page for page in pages.tolist() if self._points.is_dead(txn, page, META_ROWS, self._state.n_rows)]
        self._state, dropped = self._records.drop(txn, dead, self._state, self.seq)
        self._changed = self._changed or dropped > 0
        return dropped

    # -- the end ---------------------------------------------------------------------------------------

    def _finish(self, txn: Txn) -> None:
        """Write the entries gathered, the changed live pieces and the state records."""
        self._flush(txn)
        last = self.seq if self._changed else self.seq - 1
        self._state = replace(self._state, seq=last)
        finished = {slot: column.finish(txn, self._state) for slot, column in self._columns.items()}
        self._state = finished[UNNAMED_SLOT]
        txn.put(state.KEY, self._state.to_bytes(), db=self._dbs["main"])


def _cursor(txn: Txn, db: Any) -> lmdb.Cursor[memoryview]:
    return txn.cursor(db=db)
