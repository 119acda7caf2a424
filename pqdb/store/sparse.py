"""Sparse vectors of one slot: each under its row, as it was given, and in segments once 4,096 rows are full.

sparse    u16 slot, u32 row → sealed u32 dimensions and then float32 weights, of points that have the vector
segments  u16 slot, u32 segment → the vectors of its rows by dimension (segments.py)

Rows are only ever appended, and a row's vector never changes: so a segment is written once, in the commit that fills
its last row, and what dies in it is told by the live bits. It goes when no row of it has a vector. Rows behind the last
full segment are looked at one by one (search/sparse.py). Every collection that has sparse vectors has both databases.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError, InputError
from pqdb.store import layout, segments
from pqdb.store.addresses import address_of
from pqdb.store.column import Column, Numbers
from pqdb.store.environment import Environment
from pqdb.store.layout import run_key, run_of_key, seal, unseal
from pqdb.store.mapping import Txn
from pqdb.store.segments import SEGMENT_ROWS, Pairs
from pqdb.store.slots import NO_SOURCE, Given, SparseGiven
from pqdb.store.state import State

VECTORS, SEGMENTS = "sparse", "segments"
DATABASES = (VECTORS, SEGMENTS)

Addresses = npt.NDArray[np.uint64]


class SparseColumn(Column):
    """What a batch holds of a slot of sparse vectors."""

    def __init__(self, env: Environment, slot: int) -> None:
        super().__init__(env, slot, NO_SOURCE)

    def begin(self, txn: Txn, points: State) -> None:
        super().begin(txn, points)
        self._bereft: set[int] = set()  # segments that rows of died in

    def refuse_unfit(self, n: int, given: Given | SparseGiven) -> None:
        if not isinstance(given, SparseGiven) or len(given.values) != n:
            raise InputError(f"expected sparse vectors of {n} points for slot {self._slot}, not {given!r:.60}")

    def write(self, txn: Txn, first: int, given: Given | SparseGiven) -> None:
        assert isinstance(given, SparseGiven)
        there = [(first + at, value) for at, value in enumerate(given.values) if value is not None]
        if there:
            cursor = txn.cursor(db=self._env.dbs[VECTORS])
            cursor.putmulti([(run_key(row, self._slot), seal(value)) for row, value in there])
        for number in range(first // SEGMENT_ROWS, (first + len(given.values)) // SEGMENT_ROWS):
            self._fill(txn, number)

    def _fill(self, txn: Txn, number: int) -> None:
        """Write the segment of rows that are all there now."""
        found = Sparse(txn, self._env.dbs, self._slot).pairs(number)
        if len(found.dims):
            txn.put(run_key(number, self._slot), segments.to_bytes(found), db=self._env.dbs[SEGMENTS])

    def source_of(self, txn: Txn, rows: Numbers) -> SparseGiven:
        reading = Sparse(txn, self._env.dbs, self._slot)
        pairs = zip(rows.tolist(), self.alive(txn, rows).tolist(), strict=True)
        return SparseGiven([reading.vector(row) if alive else None for row, alive in pairs])

    def _let_go(self, txn: Txn, dying: Numbers) -> None:
        for row in dying.tolist():
            txn.delete(run_key(row, self._slot), db=self._env.dbs[VECTORS])
        self._bereft.update(np.unique(dying // SEGMENT_ROWS).tolist())

    def finish(self, txn: Txn, points: State) -> State:
        """As every column's; segments go of whose rows none has a vector any more, not even one that was copied and is
        still to come to life.
        """
        for number in self._bereft:
            first, there = number * SEGMENT_ROWS, Sparse(txn, self._env.dbs, self._slot)
            if next(there.vectors(first, first + SEGMENT_ROWS), None) is None:
                txn.delete(run_key(number, self._slot), db=self._env.dbs[SEGMENTS])
        return super().finish(txn, points)


class Sparse:
    """The sparse vectors of one slot as one transaction sees them."""

    def __init__(self, txn: Txn, dbs: dict[str, Any], slot: int) -> None:
        self._txn = txn
        self._dbs = dbs
        self._slot = slot

    def vector(self, row: int) -> bytes:
        """The vector of a row that has one. Raises CorruptError."""
        value = self._txn.get(run_key(row, self._slot), db=self._dbs[VECTORS])
        if value is None:
            raise CorruptError(f"the sparse vector of row {row:,}, slot {self._slot}, is missing")
        return unseal(value, f"the sparse vector of row {row:,}, slot {self._slot}")

    def vectors(self, first: int, stop: int) -> Iterator[tuple[int, memoryview]]:
        """(row, vector) of the rows of [first, stop) that have one, in order, as they lie there."""
        return ((row, value[:-4]) for row, value in self._under(VECTORS, first, stop))

    def sealed(self) -> Iterator[tuple[int, memoryview]]:
        """(row, value) of every vector there is."""
        return self._under(VECTORS, 0, layout.MAX_ROWS)

    def pairs(self, number: int) -> Pairs:
        """What the vectors of a segment's rows are, in its order."""
        first = number * SEGMENT_ROWS
        held = list(self.vectors(first, first + SEGMENT_ROWS))
        return segments.pairs_of([row - first for row, _ in held], [vector for _, vector in held]).in_order()

    def addresses(self, n_rows: int) -> Addresses:
        """(n_rows // SEGMENT_ROWS,) uint64: where each full segment lies, 0 where none of its rows has a vector. Raises
        CorruptError for one that is shorter than it says: kernels would read beyond it.
        """
        found = np.zeros(n_rows // SEGMENT_ROWS, np.uint64)
        for number, value in self._under(SEGMENTS, 0, len(found)):
            segments.shape_of(value, f"segment {number:,} of the sparse vectors, slot {self._slot},")
            found[number] = address_of(value)
        return found

    def kept(self) -> Iterator[tuple[int, memoryview]]:
        """(number, value) of every segment there is."""
        return self._under(SEGMENTS, 0, layout.MAX_ROWS)

    def _under(self, name: str, first: int, stop: int) -> Iterator[tuple[int, memoryview]]:
        """(number, value) of this slot's values from `first` on, up to `stop`."""
        cursor = self._txn.cursor(db=self._dbs[name])
        try:
            there = first < stop and cursor.set_range(run_key(first, self._slot))
            while there:
                key, value = cursor.item()
                slot, number = run_of_key(key)
                if slot != self._slot or number >= stop:
                    return
                yield number, value
                there = cursor.next()
        finally:
            cursor.close()
