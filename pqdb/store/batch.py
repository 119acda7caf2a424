"""One write to the truth: everything in it is committed together, durably, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self, TypeVar

import lmdb
import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError, InputError, StorageError
from pqdb.store import layout, state
from pqdb.store import manifest as manifest_record
from pqdb.store.deriving import Deriving, MissingTablesError
from pqdb.store.environment import Environment, Txn, put_anew
from pqdb.store.ids import TEXT, id_key, id_keys
from pqdb.store.layout import (
    KIND_INT,
    KIND_SHIFT,
    KIND_TEXT,
    KIND_UUID,
    META_BYTES,
    META_GROUP,
    META_PAGE,
    META_ROWS,
    PAYLOAD_FLAG,
    PIECE_BYTES,
    PIECE_ROWS,
    Runs,
    row_key,
    run_key,
)
from pqdb.store.snapshot import any_alive
from pqdb.store.state import State
from pqdb.store.tables import Changes, Derive, drop_table
from pqdb.store.write import WriteBatch

T = TypeVar("T")
Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.integer[Any]]

_RUNS_AT_ONCE = 128  # runs put together before they are handed to LMDB: a few MB
_ENTRIES_AT_ONCE = 2_000_000  # of tables, gathered before they are written: some hundred MB


class PointBatch(WriteBatch):
    """A context manager made by `PointStore.write`: commits on a clean exit, forgets everything on an error.

    Nothing is committed, and no sequence used up, where nothing changed.
    """

    seq: int
    """The sequence of this change: one more than the last one's."""

    def __init__(self, env: Environment, runs: Runs, deriving: Deriving) -> None:
        super().__init__(env)
        self._runs = runs
        self._deriving = deriving
        self._changes = Changes()
        self._pieces: dict[int, Bytes] = {}  # live pieces changed in this batch: (PIECE_BYTES,) uint8
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
        self._pieces = {}
        self._changes = Changes()
        self._state = State.from_bytes(txn.get(state.KEY, db=self._dbs["main"]), str(self._env.path))
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
        rows: Bytes,
        payloads: Sequence[bytes | None] | None = None,
    ) -> Rows:
        """Write points, replacing those of the same id. -> (n,) uint32 the new rows, in the order of `ids`.

        rows: (n, row_bytes) uint8, C-contiguous. Of duplicates the last wins, and all get its row.
        Raises IdError, InputError before anything is written.
        """
        keys = id_keys(ids)
        self._check(len(keys), rows, payloads)
        if not keys:
            return np.zeros(0, np.uint32)
        last = dict(zip(keys, range(len(keys)), strict=True))
        if len(last) == len(keys):
            return self._run(lambda txn: self._upsert(txn, keys, rows, payloads))
        kept = sorted(last.values())
        place = {keys[at]: number for number, at in enumerate(kept)}
        kept_payloads = None if payloads is None else [payloads[at] for at in kept]
        written = self._run(lambda txn: self._upsert(txn, list(place), rows[kept], kept_payloads))
        return written[[place[key] for key in keys]]

    def delete(self, ids: Sequence[Any]) -> int:
        """Delete points. -> how many of them there were. Raises IdError before anything is written."""
        keys = list(dict.fromkeys(id_keys(ids)))
        return self._run(lambda txn: self._delete(txn, keys))

    def has(self, point_id: Any) -> bool:
        """Whether there is such a point as this batch sees it. Raises IdError."""
        key = id_key(point_id)
        return self._run(lambda txn: bool(self._rows_of(txn, [key])))

    def payload_of(self, point_id: Any) -> bytes | None:
        """A point's payload as this batch sees it, None where there is none. Raises IdError."""
        key = id_key(point_id)
        return self._run(lambda txn: self._payload_of(txn, key))

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

    def _run(self, operation: Callable[[Txn], T]) -> T:
        return super()._run(lambda txn: self._after_what_came_before(txn, operation))

    def _after_what_came_before(self, txn: Txn, operation: Callable[[Txn], T]) -> T:
        """One operation, with the entries of those before it written: it may take away what they have added."""
        self._flush(txn)
        return operation(txn)

    def _flush(self, txn: Txn) -> None:
        if len(self._changes):
            self._changes.flush(txn, self._dbs)

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

    def drop_dead(self, runs: Numbers, pages: Numbers) -> int:
        """Delete those source runs and pages of row records that are full and hold no living row. -> how many were."""
        return self._run(lambda txn: self._drop_dead(txn, runs, pages))

    def _check(self, n: int, rows: Bytes, payloads: Sequence[bytes | None] | None) -> None:
        want = (n, self._runs.row_bytes)
        if rows.dtype != np.uint8 or rows.shape != want:
            raise InputError(
                f"expected source rows as uint8 of shape {want}, not {rows.dtype} of {rows.shape}"
            )
        if not rows.flags.c_contiguous:
            raise InputError("source rows must be C-contiguous")
        if payloads is not None and len(payloads) != n:
            raise InputError(f"expected {n} payloads, one an id, not {len(payloads)}")
        if self._state.n_rows + n > layout.MAX_ROWS:
            raise InputError(
                f"a collection has at most {layout.MAX_ROWS:,} rows in its life; {self._state.n_rows:,} "
                f"are used, {n:,} more do not fit: rebuild it"
            )

    # -- upsert ----------------------------------------------------------------------------------------

    def _upsert(
        self, txn: Txn, keys: list[bytes], rows: Bytes, payloads: Sequence[bytes | None] | None
    ) -> Rows:
        first, n = self._state.n_rows, len(keys)
        order = sorted(range(n), key=keys.__getitem__)
        self._kill(txn, [row for _, row in self._rows_of(txn, [keys[at] for at in order])])
        new_rows = np.arange(first, first + n, dtype=np.uint32)
        self._state = self._state.grown(first + n)
        self._write_runs(txn, first, rows)
        self._write_meta(txn, first, self._records(keys, payloads))
        self._append(txn, "texts", [(first + at, key[1:]) for at, key in enumerate(keys) if key[:1] == TEXT])
        if payloads is not None:
            given = [(first + at, payload) for at, payload in enumerate(payloads) if payload is not None]
            self._append(txn, "payloads", [(row, layout.seal(payload)) for row, payload in given])
            if self._derived.derive is not None:
                for row, payload in given:
                    self._changes.add(row, self._derived.derive(payload))
        row_bytes = new_rows.astype("<u4").tobytes()
        _cursor(txn, self._dbs["ids"]).putmulti([(keys[at], row_bytes[4 * at : 4 * at + 4]) for at in order])
        self._mark_alive(txn, first, first + n)
        self._state = replace(self._state, n_live=self._state.n_live + n)
        self._changed = True
        return new_rows

    def _records(self, keys: list[bytes], payloads: Sequence[bytes | None] | None) -> Bytes:
        """(n, META_BYTES) uint8 row records (layout.py)."""
        n = len(keys)
        records = np.zeros((n, META_BYTES), np.uint8)
        kinds = np.frombuffer(b"".join([key[:1] for key in keys]), np.uint8)
        tails = np.full(n, self.seq, np.uint64) | kinds.astype(np.uint64) << np.uint64(KIND_SHIFT)
        if payloads is not None:
            has = np.fromiter((payload is not None for payload in payloads), bool, count=n)
            tails |= has.astype(np.uint64) * np.uint64(PAYLOAD_FLAG)
        for kind, size, byte_order in ((KIND_INT, 8, -1), (KIND_UUID, 16, 1)):
            at = np.flatnonzero(kinds == kind)
            if len(at):
                joined = (
                    b"".join(keys) if len(at) == n else b"".join([keys[number] for number in at.tolist()])
                )
                raw = np.frombuffer(joined, np.uint8).reshape(len(at), 1 + size)[:, 1:]
                records[at, :size] = raw[:, ::byte_order]
        records[:, 16:] = tails.astype("<u8").view(np.uint8).reshape(n, 8)
        return records

    def _write_runs(self, txn: Txn, first: int, rows: Bytes) -> None:
        """Put source rows behind row `first`: complete the last run, then whole runs, then a new last one."""
        per_run, size = self._runs.rows_per_run, self._runs.run_bytes
        cursor = _cursor(txn, self._dbs["runs"])
        end = first + len(rows)
        run = first // per_run
        while run * per_run < end:
            upto = min(run + _RUNS_AT_ONCE, -(-end // per_run))
            values = np.zeros((upto - run, size), np.uint8)
            lo, hi = max(first, run * per_run), min(end, upto * per_run)
            if lo > run * per_run:
                values[0] = np.frombuffer(self._value(txn, "runs", run_key(run)), np.uint8)
            _spread(values, lo - run * per_run, rows[lo - first : hi - first], per_run)
            for number in range(upto - run):
                layout.close_run(values[number], min(per_run, end - (run + number) * per_run))
            cursor.putmulti([(run_key(run + number), values[number].data) for number in range(upto - run)])
            run = upto

    def _write_meta(self, txn: Txn, first: int, records: Bytes) -> None:
        """Put row records behind row `first`."""
        page, at = divmod(first, META_ROWS)
        joined = records.reshape(-1)
        if at:
            head = np.frombuffer(self._value(txn, "meta", row_key(page)), np.uint8)[: at * META_BYTES]
            joined = np.concatenate((head, joined))
        pages = np.zeros((-(-len(joined) // META_PAGE), META_PAGE), np.uint8)
        pages.reshape(-1)[: len(joined)] = joined
        _cursor(txn, self._dbs["meta"]).putmulti(
            [(row_key(page + number), value.data) for number, value in enumerate(pages)]
        )
        _cursor(txn, self._dbs["sums"]).putmulti(
            [(row_key(page + number), layout.crc_bytes(value.data)) for number, value in enumerate(pages)]
        )

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
        for piece in np.unique(dead // PIECE_ROWS).tolist():
            within = dead[dead // PIECE_ROWS == piece] % PIECE_ROWS
            np.bitwise_and.at(
                self._piece(txn, piece), within >> 3, ~(np.uint8(1) << (within & 7).astype(np.uint8))
            )
        self._state = replace(self._state, n_live=self._state.n_live - len(rows))
        self._changed = True

    # -- the other verbs -------------------------------------------------------------------------------

    def _payload_of(self, txn: Txn, key: bytes) -> bytes | None:
        row = txn.get(key, db=self._dbs["ids"])
        if row is None:
            return None
        value = txn.get(row_key(int.from_bytes(row, "little")), db=self._dbs["payloads"])
        return None if value is None else bytes(layout.unseal(value, "a payload"))

    def _change_payloads(self, txn: Txn, keys: list[bytes], change: Callable[[bytes | None], bytes | None]) -> int:
        rows = [row for _, row in self._rows_of(txn, keys)]
        for row in rows:
            value = txn.get(row_key(row), db=self._dbs["payloads"])
            held = None if value is None else layout.unseal(value, f"the payload of row {row}")
            self._put_payload(txn, row, held, change(held))
        return len(rows)

    def _put_payload(self, txn: Txn, row: int, held: bytes | None, payload: bytes | None) -> None:
        if self._derived.derive is not None:
            before, after = (
                frozenset() if each is None else self._derived.derive(each) for each in (held, payload)
            )
            self._changes.remove(row, before - after)
            self._changes.add(row, after - before)
        page, at = divmod(row, META_ROWS)
        records = np.frombuffer(self._value(txn, "meta", row_key(page)), np.uint64).copy()
        word = at * META_BYTES // 8 + 2
        kind = int(records[word]) >> KIND_SHIFT & 3
        flag = 0 if payload is None else PAYLOAD_FLAG
        records[word] = np.uint64(self.seq | kind << KIND_SHIFT | flag)
        if payload is None:
            txn.delete(row_key(row), db=self._dbs["payloads"])
        else:
            put_anew(txn, self._dbs["payloads"], row_key(row), layout.seal(payload))
        txn.put(row_key(page), records.data, db=self._dbs["meta"])
        txn.put(row_key(page), layout.crc_bytes(records.data), db=self._dbs["sums"])
        versions = self._state.group_versions.copy()
        versions[page // META_GROUP] = self.seq
        self._state = replace(self._state, group_versions=versions)
        self._changed = True

    def _forget_source(self, txn: Txn, upto_row: int) -> None:
        upto = min(upto_row, self._state.n_rows) // self._runs.rows_per_run
        if upto <= self._state.forgotten_runs:
            return
        for run in range(self._state.forgotten_runs, upto):
            txn.delete(run_key(run), db=self._dbs["runs"])
        self._state = replace(self._state, forgotten_runs=upto)
        self._changed = True

    def _expect(self, seq: int) -> None:
        if self._state.seq != seq:
            raise StorageError(
                f"{self._env.path}: another process wrote commit {self._state.seq} after {seq} was read; nothing of "
                "this batch was kept, try it again"
            )

    def _set_manifest(self, txn: Txn, manifest: Mapping[str, Any], tables: bool) -> None:
        tables = tables or self._derived.has_tables
        store = {**self._runs.to_dict(), **({"tables": True} if tables else {})}
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
        source = np.empty((n, self._runs.row_bytes), np.uint8)
        runs, at = np.divmod(rows.astype(np.int64), self._runs.rows_per_run)
        for positions in np.split(np.arange(n), np.flatnonzero(np.diff(runs)) + 1):
            value = np.frombuffer(self._value(txn, "runs", run_key(int(runs[positions[0]]))), np.uint8)
            held = value[: self._runs.rows_per_run * self._runs.row_bytes].reshape(-1, self._runs.row_bytes)
            source[positions] = held[at[positions]]
        self._state = self._state.grown(first + n)
        self._write_runs(txn, first, source)
        self._write_meta(txn, first, np.zeros((n, META_BYTES), np.uint8))
        for piece in range(first // PIECE_ROWS, -(-(first + n) // PIECE_ROWS)):
            self._piece(txn, piece)
        self._changed = True
        return np.arange(first, first + n, dtype=np.uint32)

    def _settle(self, txn: Txn, rows: Rows, places: Rows) -> int:
        pages: dict[int, npt.NDArray[np.uint64]] = {}  # of row records, to be changed in place
        settled: list[tuple[int, int]] = []
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            if not self._is_alive(txn, row):
                continue
            words = self._record(txn, pages, row)
            kind, flag = int(words[2]) >> KIND_SHIFT & 3, int(words[2]) & PAYLOAD_FLAG
            self._record(txn, pages, place)[:] = words
            key = self._id_of(txn, row, kind, words)
            txn.put(key, place.to_bytes(4, "little"), db=self._dbs["ids"])
            for name, there in (("texts", kind == KIND_TEXT), ("payloads", flag)):
                if there:
                    value = bytes(self._value(txn, name, row_key(row)))
                    txn.put(row_key(place), value, db=self._dbs[name])
                    if name == "payloads" and self._derived.derive is not None:
                        self._changes.add(place, self._derived.derive(value[:-4]))
            settled.append((row, place))
        if not settled:
            return 0
        old, new = (np.array(side, np.uint32) for side in zip(*settled, strict=True))
        self._put_pages(txn, pages, np.unique(new // META_ROWS).tolist())
        self._kill(txn, old.tolist())
        for piece in np.unique(new // PIECE_ROWS).tolist():
            within = new[new // PIECE_ROWS == piece] % PIECE_ROWS
            np.bitwise_or.at(self._piece(txn, piece), within >> 3, np.uint8(1) << (within & 7).astype(np.uint8))
        self._state = replace(self._state, n_live=self._state.n_live + len(settled))
        return len(settled)

    def _is_alive(self, txn: Txn, row: int) -> bool:
        piece, at = divmod(row, PIECE_ROWS)
        return bool(self._piece(txn, piece, changing=False)[at >> 3] >> (at & 7) & 1)

    def _record(
        self, txn: Txn, pages: dict[int, npt.NDArray[np.uint64]], row: int
    ) -> npt.NDArray[np.uint64]:
        """(3,) uint64 of a row's record, in a page that is held in `pages`."""
        page, at = divmod(row, META_ROWS)
        if page not in pages:
            pages[page] = np.frombuffer(self._value(txn, "meta", row_key(page)), np.uint64).copy()
        record: npt.NDArray[np.uint64] = pages[page].reshape(META_ROWS, -1)[at]
        return record

    def _id_of(self, txn: Txn, row: int, kind: int, words: npt.NDArray[np.uint64]) -> bytes:
        """The key of a living row's id."""
        if kind == KIND_INT:
            return bytes([kind]) + int(words[0]).to_bytes(8, "big")
        if kind == KIND_UUID:
            return bytes([kind]) + words[:2].tobytes()
        return bytes([kind]) + bytes(self._value(txn, "texts", row_key(row)))

    def _put_pages(self, txn: Txn, pages: Mapping[int, npt.NDArray[np.uint64]], changed: list[int]) -> None:
        """Write pages of row records that were changed in place."""
        versions = self._state.group_versions.copy()
        for page in changed:
            txn.put(row_key(page), pages[page].data, db=self._dbs["meta"])
            txn.put(row_key(page), layout.crc_bytes(pages[page].data), db=self._dbs["sums"])
            versions[page // META_GROUP] = self.seq
        self._state = replace(self._state, group_versions=versions)

    def _drop_dead(self, txn: Txn, runs: Numbers, pages: Numbers) -> int:
        dropped = 0
        for run in runs.tolist():
            if self._is_dead(txn, run, self._runs.rows_per_run):
                dropped += txn.delete(run_key(run), db=self._dbs["runs"])
        for page in pages.tolist():
            if self._is_dead(txn, page, META_ROWS):
                dropped += txn.delete(row_key(page), db=self._dbs["meta"])
                txn.delete(row_key(page), db=self._dbs["sums"])
        self._changed = self._changed or dropped > 0
        return dropped

    def _is_dead(self, txn: Txn, number: int, rows_each: int) -> bool:
        """Whether a group of rows is full and holds no living one."""
        start, stop = number * rows_each, (number + 1) * rows_each
        while start < stop <= self._state.n_rows:
            piece, at = divmod(start, PIECE_ROWS)
            upto = min(stop, (piece + 1) * PIECE_ROWS)
            if any_alive(self._piece(txn, piece, changing=False), at, at + upto - start):
                return False
            start = upto
        return stop <= self._state.n_rows

    # -- live bits and the end -------------------------------------------------------------------------

    def _piece(self, txn: Txn, piece: int, changing: bool = True) -> Bytes:
        """(PIECE_BYTES,) uint8 of a live piece; to be changed in place and written by `_finish`, or only looked at."""
        bits = self._pieces.get(piece)
        if bits is None:
            value = txn.get(row_key(piece), db=self._dbs["live"])
            bits = np.zeros(PIECE_BYTES, np.uint8)
            if value is not None:
                bits[:] = np.frombuffer(value, np.uint8, count=PIECE_BYTES)
            if changing:
                self._pieces[piece] = bits
        return bits

    def _mark_alive(self, txn: Txn, first: int, stop: int) -> None:
        for piece in range(first // PIECE_ROWS, -(-stop // PIECE_ROWS)):
            lo = max(first - piece * PIECE_ROWS, 0)
            hi = min(stop - piece * PIECE_ROWS, PIECE_ROWS)
            fresh = np.zeros(PIECE_ROWS, np.uint8)
            fresh[lo:hi] = 1
            self._piece(txn, piece)[:] |= np.packbits(fresh, bitorder="little")

    def _finish(self, txn: Txn) -> None:
        """Write the entries gathered, the changed live pieces and the state record."""
        self._flush(txn)
        last = self.seq if self._changed else self.seq - 1
        versions = self._state.piece_versions.copy()
        for piece, bits in self._pieces.items():
            txn.put(row_key(piece), layout.close_piece(bits), db=self._dbs["live"])
            versions[piece] = last
        self._state = replace(self._state, seq=last, piece_versions=versions)
        txn.put(state.KEY, self._state.to_bytes(), db=self._dbs["main"])

    def _value(self, txn: Txn, name: str, key: bytes) -> memoryview:
        value = txn.get(key, db=self._dbs[name])
        if value is None:
            raise CorruptError(f"{self._env.path}: {name} {key.hex()} is missing")
        return value


def _cursor(txn: Txn, db: Any) -> lmdb.Cursor[memoryview]:
    return txn.cursor(db=db)


def _spread(values: Bytes, skip: int, rows: Bytes, per_run: int) -> None:
    """Lay rows (n, row_bytes) into runs (m, run_bytes), leaving out the first `skip` places."""
    row_bytes = rows.shape[1]
    at = 0
    for run in values:
        n = min(per_run - skip, len(rows) - at)
        run[skip * row_bytes : (skip + n) * row_bytes] = rows[at : at + n].reshape(-1)
        at, skip = at + n, 0
