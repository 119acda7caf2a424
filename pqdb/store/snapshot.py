"""What a process keeps of one commit of a points store: state, live bitmap, and addresses in the memory map.

A snapshot is never changed once others can see it (its arrays are left writable all the same: kernels take a
read-only array by a path that costs microseconds). The next one is made from the last by reading anew only
what the state record says has changed; addresses are resolved on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pqdb.errors import CorruptError
from pqdb.store import state as state_record
from pqdb.store.addresses import address_of
from pqdb.store.deriving import Deriving
from pqdb.store.environment import Environment
from pqdb.store.layout import (
    MAX_ROWS,
    META_GROUP,
    META_ROWS,
    PIECE_BYTES,
    UNNAMED_SLOT,
    Runs,
    piece_key,
    row_key,
    row_of_key,
    run_key,
    run_of_key,
    trailer_holds,
)
from pqdb.store.mapping import Txn
from pqdb.store.reading import Keeper
from pqdb.store.state import State, Versions, dropped_from_bytes

Addresses = npt.NDArray[np.uint64]
Bits = npt.NDArray[np.uint8]
NO_BITS: Bits = np.zeros(0, np.uint8)
_BITS_AT_ONCE = 1 << 17  # rows whose live bits are looked up at a time


@dataclass(frozen=True)
class AddressBook:
    """Addresses of full runs or pages in one mapping (epoch) of the file. They stay, but for those of dead rows, which
    upkeep takes away, and of pages that are changed: `dropped` and `versions` tell of that.
    """

    epoch: int
    addresses: Addresses  # (n,) uint64
    start: int  # addresses[start:stop] are known
    stop: int
    versions: Versions  # of the page groups; none for runs
    dropped: int = 0  # for runs: the commit that last took some away, as it was then


NOTHING = AddressBook(-1, np.zeros(0, np.uint64), 0, 0, np.zeros(0, np.uint64))


@dataclass
class Snapshot:
    """One commit as this process sees it. `runs` and `meta` are filled in by the first who asks."""

    txn_id: int
    epoch: int
    state: State
    live: Bits
    run_book: AddressBook = NOTHING
    meta_book: AddressBook = NOTHING
    runs: Addresses | None = None
    meta: Addresses | None = None
    manifest: dict[str, Any] | None = field(default=None)

    @cached_property
    def findable(self) -> Bits:
        """The live bits; an empty bitmap where every row is alive, which kernels take for all, and need not look."""
        return NO_BITS if self.state.n_live == self.state.n_rows else self.live


class Snapshots(Keeper[Snapshot]):
    """The snapshots of one points environment, seen by one of its slots; keeps the newest for the next view."""

    def __init__(
        self, env: Environment, runs: Runs, deriving: Deriving, slot: int, all_slots: Mapping[int, Snapshots]
    ) -> None:
        super().__init__(env)
        self.runs = runs
        self.deriving = deriving
        self.slot = slot
        self.all_slots = all_slots

    def take(self, txn: Txn, txn_id: int, last: Snapshot | None) -> Snapshot:
        """State and live bits of a transaction, read anew where they changed since the last snapshot.

        Raises MissingTablesError: adopt them and begin again.
        """
        dbs, epoch, where = self.env.dbs, self.env.epoch, str(self.env.path)
        state = State.from_bytes(txn.get(state_record.KEY, db=dbs["main"]), where)
        self.deriving.of(txn, state)
        if self.slot != UNNAMED_SLOT:
            value = txn.get(state_record.key_of(self.slot), db=dbs["main"])
            state = state.of_slot(State.from_bytes(value, f"slot {self.slot} of {where}"))
        live = _live_bits(txn, dbs["live"], state, last, where, self.slot)
        if last is None or last.txn_id > txn_id:  # (what a later commit has taken away is there in this one)
            return Snapshot(txn_id, epoch, state, live)
        same = last.state.manifest_seq == state.manifest_seq
        manifest = last.manifest if same else None
        return Snapshot(txn_id, epoch, state, live, last.run_book, last.meta_book, manifest=manifest)


def _live_bits(txn: Txn, db: Any, state: State, last: Snapshot | None, where: str, slot: int) -> Bits:
    """(ceil(n_rows / 8) + 8,) uint8, reading only pieces whose version differs from the last snapshot's."""
    n_bytes = -(-state.n_rows // 8)
    bits = np.zeros(n_bytes + 8, np.uint8)
    changed = np.arange(len(state.piece_versions))
    if last is not None:
        known = last.state.piece_versions[: len(changed)]
        kept = min(n_bytes, -(-last.state.n_rows // 8))
        bits[:kept] = last.live[:kept]
        changed = np.concatenate(
            (np.flatnonzero(known != state.piece_versions[: len(known)]), changed[len(known) :])
        )
    for piece in changed.tolist():
        if slot != UNNAMED_SLOT and not state.piece_versions[piece]:
            continue  # no row of it ever had the vector
        value = txn.get(piece_key(piece, slot), db=db)
        if value is None or not trailer_holds(value):
            raise CorruptError(f"{where}: live bits of piece {piece} are not what was written")
        at = piece * PIECE_BYTES
        room = min(PIECE_BYTES, n_bytes - at)
        bits[at : at + room] = np.frombuffer(value, np.uint8, count=room)
    return bits


def resolve_runs(txn: Txn, dbs: Mapping[str, Any], snapshot: Snapshot, rows_per_run: int, slot: int) -> Addresses:
    """(n_runs,) uint64: the address of row 0 of each source run, 0 for forgotten ones and those taken away."""
    state, book, db = snapshot.state, snapshot.run_book, dbs["runs"]
    n_runs, full = -(-state.n_rows // rows_per_run), state.n_rows // rows_per_run
    addresses, wanted = _carry_over(book, snapshot.epoch, n_runs, state.forgotten_runs, full)
    dropped = dropped_from_bytes(txn.get(state_record.DROPPED, db=dbs["main"]), "the points")
    if dropped != book.dropped:  # those that are there still are found again, and those that are not take no time
        doubtful = _dead_runs(snapshot.live, addresses, rows_per_run, full)
        addresses[doubtful] = 0
        wanted += [range(span[0], span[-1] + 1) for span in _stretches(doubtful)]
    for span in wanted:
        _resolve(txn, db, lambda run: run_key(run, slot), lambda key: _run_of(key, slot), span, addresses)
        _refuse_gaps(span, addresses, snapshot.live, rows_per_run, "source run")
    snapshot.run_book = AddressBook(snapshot.epoch, addresses, state.forgotten_runs, full, NOTHING.versions, dropped)
    snapshot.runs = addresses
    return addresses


def _stretches(numbers: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Numbers (n,), ascending, in stretches without a gap."""
    return np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []


def _dead_runs(live: Bits, addresses: Addresses, rows_per_run: int, full: int) -> npt.NDArray[np.int64]:
    """Of the full runs whose address (n_runs,) is known, those without a living row: they may have been taken away."""
    dead = [np.zeros(0, np.int64)]
    step = max(1, _BITS_AT_ONCE // rows_per_run) * 8  # so that each part begins with a byte
    for first in range(0, full, step):
        stop = min(first + step, full)
        row, end = first * rows_per_run, stop * rows_per_run
        bits = np.unpackbits(live[row >> 3 : (end + 7) >> 3], bitorder="little", count=end - row)
        alive = bits.reshape(-1, rows_per_run).any(axis=1)
        dead.append(first + np.flatnonzero(~alive & (addresses[first:stop] != 0)))
    return np.concatenate(dead)


def resolve_meta(txn: Txn, db: Any, snapshot: Snapshot) -> Addresses:
    """(n_pages,) uint64: the address of each page of row records, 0 for those taken away."""
    state, book = snapshot.state, snapshot.meta_book
    n_pages, full = -(-state.n_rows // META_ROWS), state.n_rows // META_ROWS
    addresses, wanted = _carry_over(book, snapshot.epoch, n_pages, 0, full)
    if book.epoch == snapshot.epoch:
        both = min(len(book.versions), len(state.group_versions))
        changed = np.flatnonzero(book.versions[:both] != state.group_versions[:both])
        wanted += [
            range(group * META_GROUP, min((group + 1) * META_GROUP, n_pages)) for group in changed.tolist()
        ]
    for span in wanted:
        addresses[span.start : span.stop] = 0
        _resolve(txn, db, row_key, row_of_key, span, addresses)
        _refuse_gaps(span, addresses, snapshot.live, META_ROWS, "page of row records")
    snapshot.meta_book = AddressBook(snapshot.epoch, addresses, 0, full, state.group_versions)
    snapshot.meta = addresses
    return addresses


def _run_of(key: memoryview, slot: int) -> int:
    """The run of a key, or one beyond all of this slot where it is another slot's."""
    held, run = run_of_key(key)
    return run if held == slot else MAX_ROWS


def _carry_over(
    book: AddressBook, epoch: int, n: int, first: int, full: int
) -> tuple[Addresses, list[range]]:
    """New addresses (n,) with the known ones in [first, full) filled in, and the numbers still to resolve."""
    addresses = np.zeros(n, np.uint64)
    start, stop = max(book.start, first), min(book.stop, full)
    if book.epoch != epoch or start >= stop:
        return addresses, [range(first, n)]
    addresses[start:stop] = book.addresses[start:stop]
    return addresses, [range(first, start), range(stop, n)]


def _resolve(
    txn: Txn,
    db: Any,
    key_of: Callable[[int], bytes],
    number_of: Callable[[memoryview], int],
    span: range,
    addresses: Addresses,
) -> None:
    """Fill in the addresses of the values that are there under a span of numbers."""
    cursor = txn.cursor(db=db)
    try:
        if len(span) and cursor.set_range(key_of(span.start)):
            for key, value in cursor.iternext():
                number = number_of(key)
                if number >= span.stop:
                    break
                addresses[number] = address_of(value)
    finally:
        cursor.close()


def _refuse_gaps(span: range, addresses: Addresses, live: Bits, rows_each: int, what: str) -> None:
    """Only what holds no living row may be missing (upkeep takes it away). Raises CorruptError."""
    missing = np.flatnonzero(addresses[span.start : span.stop] == 0) + span.start
    for group in _stretches(missing):
        first, last = int(group[0]), int(group[-1])
        if any_alive(live, first * rows_each, (last + 1) * rows_each):
            raise CorruptError(f"one of {what}s {first:,} to {last:,} is missing")


def any_alive(live: Bits, start: int, stop: int) -> bool:
    """Whether any row of [start, stop) is alive; rows beyond the bitmap are not."""
    first, last = start >> 3, (stop - 1) >> 3
    part = live[first : last + 1].copy()
    if not len(part):
        return False
    part[0] &= 0xFF << (start & 7) & 0xFF
    if last - first + 1 == len(part):
        part[-1] &= 0xFF >> (7 - ((stop - 1) & 7))
    return bool(part.any())
