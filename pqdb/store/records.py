"""What a write does to row records: the id, the payload flag and the version of each row, META_ROWS of them a page.

meta  u32 page → its records (layout.py)
sums  u32 page → their checksum
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import lmdb
import numpy as np
import numpy.typing as npt

from pqdb.store import layout
from pqdb.store.environment import Environment
from pqdb.store.layout import (
    KIND_INT,
    KIND_SHIFT,
    KIND_UUID,
    META_BYTES,
    META_GROUP,
    META_PAGE,
    META_ROWS,
    PAYLOAD_FLAG,
    row_key,
)
from pqdb.store.mapping import Txn
from pqdb.store.slots import Bytes
from pqdb.store.state import State

Words = npt.NDArray[np.uint64]
MOST_PAGES = 4_096  # held at a time: 16 MB
TAIL = 2  # the word of a record that holds its row's version, payload flag and kind of id


class Records:
    """Row records as one write changes them. Those that change in place do so in pages of its own, until `put`: between
    operations none is held.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.begin()

    def begin(self) -> None:
        """A new transaction: nothing is known of its pages yet."""
        self._pages: dict[int, Words] = {}
        self._changed: set[int] = set()

    def append(self, txn: Txn, first: int, records: Bytes) -> None:
        """Put records (n, META_BYTES) uint8 behind those of the rows up to `first`."""
        number, at = divmod(first, META_ROWS)
        joined = records.reshape(-1)
        if at:
            head = np.frombuffer(self._env.value(txn, "meta", row_key(number)), np.uint8)[: at * META_BYTES]
            joined = np.concatenate((head, joined))
        pages = np.zeros((-(-len(joined) // META_PAGE), META_PAGE), np.uint8)
        pages.reshape(-1)[: len(joined)] = joined
        self._write(txn, [(row_key(number + place), page.data) for place, page in enumerate(pages)])

    def of(self, txn: Txn, row: int) -> Words:
        """(3,) a row's record, to be read."""
        number, at = divmod(row, META_ROWS)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = np.frombuffer(self._env.value(txn, "meta", row_key(number)), np.uint64).copy()
        record: Words = page.reshape(META_ROWS, -1)[at]
        return record

    def to_change(self, txn: Txn, row: int) -> Words:
        """(3,) a row's record, to be changed in place."""
        record = self.of(txn, row)
        self._changed.add(row // META_ROWS)
        return record

    @property
    def is_full(self) -> bool:
        """Whether so many pages are held that it is time to put them."""
        return len(self._pages) >= MOST_PAGES

    def put(self, txn: Txn, state: State, seq: int) -> State:
        """Write what was changed in place; returns a state that says in which change that was."""
        changed = sorted(self._changed)
        self._write(txn, [(row_key(number), self._pages[number].data) for number in changed])
        self.begin()
        return _changed_in(state, changed, seq)

    def drop(self, txn: Txn, pages: Sequence[int], state: State, seq: int) -> tuple[State, int]:
        """Delete pages, where they are there; returns a state that says in which change they went, and how many did."""
        gone = [number for number in pages if txn.delete(row_key(number), db=self._env.dbs["meta"])]
        for number in gone:
            txn.delete(row_key(number), db=self._env.dbs["sums"])
        return _changed_in(state, gone, seq), len(gone)

    def _write(self, txn: Txn, pages: Sequence[tuple[bytes, memoryview]]) -> None:
        sums = [(key, layout.crc_bytes(page)) for key, page in pages]
        for name, values in ("meta", pages), ("sums", sums):
            cursor: lmdb.Cursor[memoryview] = txn.cursor(db=self._env.dbs[name])
            cursor.putmulti(values)


def _changed_in(state: State, pages: Sequence[int], seq: int) -> State:
    if not len(pages):
        return state
    versions = state.group_versions.copy()
    versions[np.unique(np.array(pages, np.int64) // META_GROUP)] = seq
    return replace(state, group_versions=versions)


def new_records(keys: Sequence[bytes], payloads: Sequence[bytes | None] | None, seq: int) -> Bytes:
    """(n, META_BYTES) uint8 the records of points with these keys of ids, written in this change."""
    n = len(keys)
    records = np.zeros((n, META_BYTES), np.uint8)
    kinds = np.frombuffer(b"".join([key[:1] for key in keys]), np.uint8)
    tails = np.full(n, seq, np.uint64) | kinds.astype(np.uint64) << np.uint64(KIND_SHIFT)
    if payloads is not None:
        has = np.fromiter((payload is not None for payload in payloads), bool, count=n)
        tails |= has.astype(np.uint64) * np.uint64(PAYLOAD_FLAG)
    for kind, size, byte_order in ((KIND_INT, 8, -1), (KIND_UUID, 16, 1)):
        at = np.flatnonzero(kinds == kind)
        if len(at):
            joined = b"".join(keys) if len(at) == n else b"".join([keys[number] for number in at.tolist()])
            raw = np.frombuffer(joined, np.uint8).reshape(len(at), 1 + size)[:, 1:]
            records[at, :size] = raw[:, ::byte_order]
    records[:, 16:] = tails.astype("<u8").view(np.uint8).reshape(n, 8)
    return records


def change_tail(record: Words, version: int, payload: bool) -> None:
    """Give a record the version of a change, and whether its row has a payload from now on."""
    record[TAIL] = version | kind_of(record) << KIND_SHIFT | (PAYLOAD_FLAG if payload else 0)


def kind_of(record: Words) -> int:
    """The kind of a row's id."""
    return int(record[TAIL]) >> KIND_SHIFT & 3


def has_payload(record: Words) -> bool:
    """Whether a row has a payload."""
    return int(record[TAIL]) & PAYLOAD_FLAG != 0
