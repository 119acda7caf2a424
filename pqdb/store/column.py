"""One slot in a batch: source rows put into runs, and which rows are alive there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError, InputError
from pqdb.store import layout, state
from pqdb.store.environment import Environment
from pqdb.store.layout import PIECE_BYTES, PIECE_ROWS, UNNAMED_SLOT, Runs, piece_key, run_key
from pqdb.store.mapping import Txn
from pqdb.store.slots import Bools, Bytes, Given, SparseGiven
from pqdb.store.snapshot import any_alive
from pqdb.store.state import State, Versions

Rows = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.integer[Any]]

_RUNS_AT_ONCE = 128  # runs put together before they are handed to LMDB: a few MB


class Column:
    """What a batch holds of one slot, from the beginning of its transaction to the end."""

    def __init__(self, env: Environment, slot: int, runs: Runs) -> None:
        self._env = env
        self._slot = slot
        self._runs = runs

    def begin(self, txn: Txn, points: State) -> None:
        """Take up the last commit; `points` is the state record of slot 0."""
        self._state = points
        if self._slot != UNNAMED_SLOT:
            value = txn.get(state.key_of(self._slot), db=self._env.dbs["main"])
            self._state = State.from_bytes(value, f"slot {self._slot} of {self._env.path}")
        self._pieces: dict[int, Bytes] = {}  # live pieces changed in this batch: (PIECE_BYTES,) uint8

    @property
    def n_live(self) -> int:
        """Rows that are alive."""
        return self._state.n_live

    @property
    def forgotten_runs(self) -> int:
        """Runs below this one were deleted."""
        return self._state.forgotten_runs

    # -- source rows

    def refuse_unfit(self, n: int, given: Given | SparseGiven) -> None:
        """Raise InputError for anything but source rows of n points."""
        if not isinstance(given, Given):
            raise InputError(f"expected source rows of slot {self._slot}, not {type(given).__name__}")
        wanted, rows = (n, self._runs.row_bytes), given.rows
        if rows.dtype != np.uint8 or rows.shape != wanted:
            raise InputError(f"expected source rows as uint8 of shape {wanted}, not {rows.dtype} of {rows.shape}")
        if not rows.flags.c_contiguous:
            raise InputError("source rows must be C-contiguous")

    def write(self, txn: Txn, first: int, given: Given | SparseGiven) -> None:
        """Put source rows behind row `first`: complete the last run, then whole runs, then a new last one. Where no
        point has the vector, nothing is written.
        """
        per_run, size = self._runs.rows_per_run, self._runs.run_bytes
        if not self._runs.row_bytes:
            return
        assert isinstance(given, Given)
        cursor = txn.cursor(db=self._env.dbs["runs"])
        end = first + len(given.rows)
        run = first // per_run
        while run * per_run < end:
            upto = min(run + _RUNS_AT_ONCE, -(-end // per_run))
            lo, hi = max(first, run * per_run), min(end, upto * per_run)
            wanted = self._wanted(run, upto, lo, given.has[lo - first : hi - first])
            if wanted:
                values = np.zeros((upto - run, size), np.uint8)
                if lo > run * per_run:
                    self._take_up(txn, run, values[0])
                _spread(values, lo - run * per_run, given.rows[lo - first : hi - first], per_run)
                for number in range(upto - run):
                    layout.close_run(values[number], min(per_run, end - (run + number) * per_run))
                cursor.putmulti([(run_key(each, self._slot), values[each - run].data) for each in wanted])
            run = upto

    def _wanted(self, run: int, upto: int, first: int, has: Bools) -> list[int]:
        """The runs of [run, upto) to be written: all of slot 0, else those with a row that has the vector."""
        if self._slot == UNNAMED_SLOT:
            return list(range(run, upto))
        found: list[int] = np.unique((first + np.flatnonzero(has)) // self._runs.rows_per_run).tolist()
        return found

    def _take_up(self, txn: Txn, run: int, value: Bytes) -> None:
        """Copy what a run holds so far; one of a named vector may hold nothing yet."""
        held = txn.get(run_key(run, self._slot), db=self._env.dbs["runs"])
        if held is not None:
            value[:] = np.frombuffer(held, np.uint8)
        elif self._slot == UNNAMED_SLOT:
            raise CorruptError(f"{self._env.path}: runs {run_key(run).hex()} is missing")

    def source_of(self, txn: Txn, rows: Numbers) -> Given | SparseGiven:
        """The source of living and dead rows (n,); zero for those that lack the vector, which have none."""
        n, size, per_run = len(rows), self._runs.row_bytes, self._runs.rows_per_run
        found = np.zeros((n, size), np.uint8)
        has = np.ones(n, bool) if self._slot == UNNAMED_SLOT else self.alive(txn, rows)
        for run in np.unique(rows[has] // per_run).tolist() if size else ():
            positions = np.flatnonzero(has & (rows // per_run == run))
            value = txn.get(run_key(run, self._slot), db=self._env.dbs["runs"])
            if value is None:
                raise CorruptError(f"{self._env.path}: runs {run_key(run, self._slot).hex()} is missing")
            held = np.frombuffer(value, np.uint8)[: per_run * size].reshape(per_run, size)
            found[positions] = held[rows[positions] % per_run]
        return Given(found, has)

    def forget(self, txn: Txn, upto_row: int) -> bool:
        """Delete the runs that lie entirely below a row. -> whether there were any."""
        upto = upto_row // self._runs.rows_per_run
        if upto <= self._state.forgotten_runs:
            return False
        for run in range(self._state.forgotten_runs, upto):
            txn.delete(run_key(run, self._slot), db=self._env.dbs["runs"])
        self._state = replace(self._state, forgotten_runs=upto)
        return True

    def drop_dead(self, txn: Txn, runs: Numbers, n_rows: int) -> int:
        """Delete those runs that are full and hold no living row. -> how many were."""
        dropped = 0
        for run in runs.tolist():
            if self.is_dead(txn, run, self._runs.rows_per_run, n_rows):
                dropped += txn.delete(run_key(run, self._slot), db=self._env.dbs["runs"])
        return dropped

    # -- which rows are alive

    def mark(self, txn: Txn, rows: Numbers) -> None:
        """Rows (n,) come to life; none of them was alive."""
        for piece in np.unique(rows // PIECE_ROWS).tolist():
            within = rows[rows // PIECE_ROWS == piece] % PIECE_ROWS
            np.bitwise_or.at(self._piece(txn, piece), within >> 3, np.uint8(1) << (within & 7).astype(np.uint8))
        self._state = replace(self._state, n_live=self._state.n_live + len(rows))

    def mark_all(self, txn: Txn, first: int, stop: int) -> None:
        """All rows of [first, stop) come to life."""
        for piece in range(first // PIECE_ROWS, -(-stop // PIECE_ROWS)):
            lo = max(first - piece * PIECE_ROWS, 0)
            hi = min(stop - piece * PIECE_ROWS, PIECE_ROWS)
            fresh = np.zeros(PIECE_ROWS, np.uint8)
            fresh[lo:hi] = 1
            self._piece(txn, piece)[:] |= np.packbits(fresh, bitorder="little")
        self._state = replace(self._state, n_live=self._state.n_live + stop - first)

    def provide(self, txn: Txn, first: int, stop: int) -> None:
        """Let there be pieces for all rows of [first, stop), which are not alive."""
        for piece in range(first // PIECE_ROWS, -(-stop // PIECE_ROWS)):
            self._piece(txn, piece)

    def kill(self, txn: Txn, rows: Numbers) -> int:
        """Those of rows (n,) that are alive die. -> how many were."""
        dying = rows if self._slot == UNNAMED_SLOT else rows[self.alive(txn, rows)]
        self._let_go(txn, dying)
        for piece in np.unique(dying // PIECE_ROWS).tolist():
            within = dying[dying // PIECE_ROWS == piece] % PIECE_ROWS
            np.bitwise_and.at(self._piece(txn, piece), within >> 3, ~(np.uint8(1) << (within & 7).astype(np.uint8)))
        self._state = replace(self._state, n_live=self._state.n_live - len(dying))
        return len(dying)

    def _let_go(self, txn: Txn, dying: Numbers) -> None:
        """Delete what only living rows have: of source rows, which lie in runs with others, nothing."""

    def alive(self, txn: Txn, rows: Numbers) -> Bools:
        """(n,) which of these rows are."""
        found = np.zeros(len(rows), bool)
        for piece in np.unique(rows // PIECE_ROWS).tolist():
            positions = np.flatnonzero(rows // PIECE_ROWS == piece)
            within = rows[positions] % PIECE_ROWS
            found[positions] = layout.bits_at(self._piece(txn, piece, changing=False), within)
        return found

    def is_alive(self, txn: Txn, row: int) -> bool:
        """Whether one row is."""
        piece, at = divmod(row, PIECE_ROWS)
        return bool(self._piece(txn, piece, changing=False)[at >> 3] >> (at & 7) & 1)

    def is_dead(self, txn: Txn, number: int, rows_each: int, n_rows: int) -> bool:
        """Whether a group of rows is full and holds no living one."""
        start, stop = number * rows_each, (number + 1) * rows_each
        while start < stop <= n_rows:
            piece, at = divmod(start, PIECE_ROWS)
            upto = min(stop, (piece + 1) * PIECE_ROWS)
            if any_alive(self._piece(txn, piece, changing=False), at, at + upto - start):
                return False
            start = upto
        return stop <= n_rows

    def _piece(self, txn: Txn, piece: int, changing: bool = True) -> Bytes:
        """(PIECE_BYTES,) uint8 of a live piece; to be changed in place and written by `finish`, or only looked at."""
        bits = self._pieces.get(piece)
        if bits is None:
            value = txn.get(piece_key(piece, self._slot), db=self._env.dbs["live"])
            bits = np.zeros(PIECE_BYTES, np.uint8)
            if value is not None:
                bits[:] = np.frombuffer(value, np.uint8, count=PIECE_BYTES)
            if changing:
                self._pieces[piece] = bits
        return bits

    def finish(self, txn: Txn, points: State) -> State:
        """Write the changed live pieces, and the state record of a named vector; `points` is the state of slot 0 as it
        will be, but for what this column knows. -> the state with that.
        """
        known = self._state.piece_versions
        versions: Versions = np.zeros(len(points.piece_versions), np.uint64)
        versions[: len(known)] = known
        for piece, bits in self._pieces.items():
            txn.put(piece_key(piece, self._slot), layout.close_piece(bits), db=self._env.dbs["live"])
            versions[piece] = points.seq
        state_now = replace(
            points, n_live=self._state.n_live, forgotten_runs=self._state.forgotten_runs, piece_versions=versions
        )
        if self._slot != UNNAMED_SLOT and self._pieces:
            none = np.zeros(0, np.uint64)
            txn.put(
                state.key_of(self._slot), replace(state_now, group_versions=none).to_bytes(), db=self._env.dbs["main"]
            )
        return state_now


def _spread(values: Bytes, skip: int, rows: Bytes, per_run: int) -> None:
    """Lay rows (n, row_bytes) into runs (m, run_bytes), leaving out the first `skip` places."""
    row_bytes = rows.shape[1]
    at = 0
    for run in values:
        n = min(per_run - skip, len(rows) - at)
        run[skip * row_bytes : (skip + n) * row_bytes] = rows[at : at + n].reshape(-1)
        at, skip = at + n, 0
