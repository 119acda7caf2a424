"""Tables derived from payloads: key → rows, kept with the points in one commit. What a key means is its maker's.

Two forms, told apart by the type of a key:

postings  any bytes (at most MAX_KEY) → all rows under that key, as a bitmap. The bitmap is cut where row numbers change
          their high 16 bits, so that one row more or less rewrites 8 kB at most.
          database ``postings``: u16 table, key bytes, u16 chunk → sealed bitmap (Roaring's portable format) of rows
orders    unsigned 64-bit integers, in order: (key, row) pairs in leaves of at most a page, as of a B+ tree.
          database ``orders``: u16 table, u64 key, u32 row → sealed u64 keys and then u32 rows, in order. A leaf holds
          the pairs from its own name up to the next leaf's; the first is named zero.

Which tables there are, and what is derived for them from a payload, the manifest says to whoever opens the store.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from pqdb.errors import CorruptError
from pqdb.store.layout import seal, trailer_holds
from pqdb.store.mapping import Txn, put_anew

POSTINGS, ORDERS = "postings", "orders"
DATABASES = (POSTINGS, ORDERS)
MAX_KEY = 480  # of the 511 bytes LMDB takes
CHUNK_BITS = 16
LEAF_PAIRS = 339  # fill one page: 12 bytes each, and a seal
NEW_LEAF_PAIRS = 254  # when a leaf is split, or many are made: room for more

Key = bytes | int
Entry = tuple[int, Key]  # table, key
Derive = Callable[[bytes], frozenset[Entry]]
"""What a payload (JSON as stored) puts into which tables. The same payload gives the same entries, always."""

Keys = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.uint32]
Pair = tuple[int, int]  # key, row
Part = tuple[Keys, Rows]  # pairs in order

_TABLE = struct.Struct(">H")
_CHUNK = struct.Struct(">H")
_LEAF = struct.Struct(">HQI")
_PAIR_BYTES = 12
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class Tables:
    """The tables as one transaction sees them."""

    def __init__(self, txn: Txn, dbs: dict[str, Any], n_rows: int) -> None:
        self._txn = txn
        self._dbs = dbs
        self._last_chunk = n_rows >> CHUNK_BITS

    def posting(self, table: int, key: bytes) -> list[BitMap]:
        """The rows under a key, in pieces that share none."""
        start, pieces = _TABLE.pack(table) + key, []
        cursor = self._txn.cursor(db=self._dbs[POSTINGS])
        size = len(start)
        try:
            there = cursor.set_range(start)
            while there:
                name, value = cursor.item()
                if name[:size] != start:
                    break
                if len(name) <= size + _CHUNK.size:
                    if len(name) == size + _CHUNK.size:  # (a shorter key and its chunk may begin like this key)
                        pieces.append(read_posting(value))
                    there = cursor.next()
                    continue
                chunk = _CHUNK.unpack_from(name, size)[0]  # what a longer key that begins like this one has there
                there = chunk < self._last_chunk and cursor.set_range(start + _CHUNK.pack(chunk + 1))
        finally:
            cursor.close()
        return pieces

    def postings(self, table: int, prefix: bytes = b"") -> Iterator[tuple[bytes, BitMap]]:
        """Every key that begins so, in order, and its rows in one or more pieces."""
        for name, value in self._from(_TABLE.pack(table) + prefix):
            yield bytes(name[_TABLE.size : -_CHUNK.size]), read_posting(value)

    def _from(self, start: bytes) -> Iterator[tuple[memoryview, memoryview]]:
        """The entries of ``postings`` that begin so."""
        cursor = self._txn.cursor(db=self._dbs[POSTINGS])
        size = len(start)
        try:
            there = cursor.set_range(start)
            while there:
                name, value = cursor.item()
                if name[:size] != start:
                    break
                yield name, value
                there = cursor.next()
        finally:
            cursor.close()

    def span(self, table: int, low: int, high: int) -> tuple[Keys, Rows]:
        """The pairs whose key lies from `low` to `high`, both in: keys (n,) ascending, and rows (n,)."""
        leaves = [leaf for _, leaf in self.leaves(table, low, high)]
        if not leaves or low > high:
            return np.zeros(0, np.uint64), np.zeros(0, np.uint32)
        counts = [len(leaf) // _PAIR_BYTES for leaf in leaves]
        keys = np.frombuffer(b"".join([leaf[: 8 * n] for leaf, n in zip(leaves, counts, strict=True)]), "<u8")
        rows = np.frombuffer(b"".join([leaf[8 * n : -4] for leaf, n in zip(leaves, counts, strict=True)]), "<u4")
        first = int(np.searchsorted(keys, np.uint64(low), "left"))
        stop = int(np.searchsorted(keys, np.uint64(high), "right"))
        return keys[first:stop], rows[first:stop]

    def leaves(self, table: int, low: int = 0, high: int = (1 << 64) - 1) -> Iterator[tuple[bytes, memoryview]]:
        """The leaves (name, sealed value: `read_leaf`) that may hold keys from `low` to `high`, in order."""
        cursor = self._txn.cursor(db=self._dbs[ORDERS])
        start, stop = _LEAF.pack(table, low, 0), _LEAF.pack(table, high, 0xFFFFFFFF)
        try:
            there = cursor.set_range(start)
            if not there or bytes(cursor.key()) > start:  # the pairs of `low` may begin in the leaf before
                before = cursor.prev() if there else cursor.last()
                if not before or cursor.key()[: _TABLE.size] != start[: _TABLE.size]:
                    before = cursor.set_range(start)
                there = before
            while there:
                name, value = cursor.item()
                if bytes(name) > stop:
                    break
                yield bytes(name), value
                there = cursor.next()
        finally:
            cursor.close()

    def leaves_backwards(self, table: int, low: int, high: int) -> Iterator[Part]:
        """The pairs (keys, rows) of the leaves that may hold keys from `low` to `high`, the last leaf first."""
        cursor = self._txn.cursor(db=self._dbs[ORDERS])
        prefix, start = _TABLE.pack(table), _LEAF.pack(table, low, 0)
        try:
            beyond = cursor.set_range(_LEAF.pack(table, high, 0xFFFFFFFF))
            if beyond and cursor.key() != _LEAF.pack(table, high, 0xFFFFFFFF):
                there = cursor.prev()
            else:
                there = beyond or cursor.last()
            while there:
                name, value = cursor.item()
                if name[: _TABLE.size] != prefix:
                    break
                yield read_leaf(value)
                if bytes(name) <= start:
                    break
                there = cursor.prev()
        finally:
            cursor.close()


class Changes:
    """Entries to be added and taken away, gathered during a batch and written once."""

    def __init__(self) -> None:
        self._added: dict[Entry, list[int]] = {}
        self._removed: dict[Entry, list[int]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, row: int, entries: Iterable[Entry]) -> None:
        """A row comes under these."""
        for entry in entries:
            self._added.setdefault(entry, []).append(row)
            self._count += 1

    def remove(self, row: int, entries: Iterable[Entry]) -> None:
        """A row was under these."""
        for entry in entries:
            self._removed.setdefault(entry, []).append(row)
            self._count += 1

    def flush(self, txn: Txn, dbs: dict[str, Any]) -> None:
        """Write them, and forget them."""
        entries = sorted(self._added.keys() | self._removed.keys(), key=_order)
        for table, of_table in groupby(entries, key=lambda entry: entry[0]):
            ordered: list[Entry] = []
            for entry in of_table:
                if isinstance(entry[1], bytes):
                    self._flush_posting(txn, dbs[POSTINGS], entry, _TABLE.pack(table) + entry[1])
                else:
                    ordered.append(entry)
            if ordered:
                added, removed = _pairs(ordered, self._added), _pairs(ordered, self._removed)
                change_pairs(txn, dbs[ORDERS], table, added, removed)
        self._added, self._removed, self._count = {}, {}, 0

    def _flush_posting(self, txn: Txn, db: Any, entry: Entry, start: bytes) -> None:
        added, removed = BitMap(self._added.get(entry, ())), BitMap(self._removed.get(entry, ()))
        for chunk in sorted({row >> CHUNK_BITS for row in added | removed}):
            name = start + _CHUNK.pack(chunk)
            value = txn.get(name, db=db)
            rows = BitMap() if value is None else read_posting(value)
            first, stop = chunk << CHUNK_BITS, (chunk + 1) << CHUNK_BITS
            rows -= _between(removed, first, stop)
            rows |= _between(added, first, stop)
            if rows:
                rows.run_optimize()
                put_anew(txn, db, name, seal(rows.serialize()))
            elif value is not None:
                txn.delete(name, db=db)


def _order(entry: Entry) -> tuple[int, bool, Key]:
    return entry[0], isinstance(entry[1], int), entry[1]


def _between(rows: BitMap, first: int, stop: int) -> BitMap:
    """The rows in [first, stop)."""
    within = BitMap()
    within.add_range(first, stop)
    return rows & within


def _pairs(entries: list[Entry], rows_of: dict[Entry, list[int]]) -> Part:
    """(key, row) of entries in order, as arrays in order."""
    keys = [entry[1] for entry in entries for _ in rows_of.get(entry, ())]
    rows = [row for entry in entries for row in sorted(rows_of.get(entry, ()))]
    return np.array(keys, np.uint64), np.array(rows, np.uint32)


def read_posting(value: memoryview) -> BitMap:
    """The rows of a sealed bitmap, looked at for its form only: `verify` reads the seals."""
    try:
        return BitMap.deserialize(value[:-4])  # type: ignore[arg-type]  # it takes any buffer
    except (ValueError, IndexError) as problem:
        raise CorruptError(f"a posting of {len(value)} bytes is not what was written: {problem}") from None


# -- leaves


def change_pairs(txn: Txn, db: Any, table: int, added: Part, removed: Part) -> None:
    """Add and remove pairs, both in order, leaf by leaf."""
    while len(added[0]) or len(removed[0]):
        first = min(_pair(part, 0) for part in (added, removed) if len(part[0]))
        name, value, bound = _leaf_at(txn, db, table, first)
        add, added = _cut(added, bound)
        gone, removed = _cut(removed, bound)
        keys, rows = (np.zeros(0, np.uint64), np.zeros(0, np.uint32)) if value is None else read_leaf(value)
        if len(gone[0]):
            kept = ~_among(keys, rows, *gone)
            keys, rows = keys[kept], rows[kept]
        keys, rows = np.concatenate((keys, add[0])), np.concatenate((rows, add[1]))
        order = np.lexsort((rows, keys))
        _put_leaves(txn, db, table, name, keys[order], rows[order])


def _leaf_at(txn: Txn, db: Any, table: int, pair: Pair) -> tuple[bytes, memoryview | None, Pair | None]:
    """The leaf a pair belongs to: its name, its value if it is there, and where the next one begins."""
    first, wanted, prefix = _LEAF.pack(table, 0, 0), _LEAF.pack(table, *pair), _TABLE.pack(table)
    cursor = txn.cursor(db=db)
    try:
        name, bound = first, None
        there = cursor.set_range(wanted)
        if there and cursor.key()[: _TABLE.size] == prefix:
            if cursor.key() == wanted:
                name = wanted
                there = cursor.next()
            bound = _bound(cursor.key()) if there and cursor.key()[: _TABLE.size] == prefix else None
        if name == first and wanted != first:
            before = cursor.set_range(wanted)
            before = cursor.prev() if before else cursor.last()
            if before and cursor.key()[: _TABLE.size] == prefix:
                name = bytes(cursor.key())
        return name, txn.get(name, db=db), bound
    finally:
        cursor.close()


def _bound(name: bytes | memoryview) -> Pair:
    _, key, row = _LEAF.unpack(name)
    return key, row


def _pair(part: Part, at: int) -> Pair:
    return int(part[0][at]), int(part[1][at])


def _cut(part: Part, bound: Pair | None) -> tuple[Part, Part]:
    """The pairs before a bound, and the others."""
    keys, rows = part
    if bound is None:
        return part, (keys[:0], rows[:0])
    low, high = (int(np.searchsorted(keys, np.uint64(bound[0]), side)) for side in _SIDES)
    at = low + int(np.searchsorted(rows[low:high], np.uint32(bound[1])))
    return (keys[:at], rows[:at]), (keys[at:], rows[at:])


def _among(keys: Keys, rows: Rows, gone_keys: Keys, gone_rows: Rows) -> npt.NDArray[np.bool_]:
    """(n,) whether each pair is one of those that go."""
    gone = set(zip(gone_keys.tolist(), gone_rows.tolist(), strict=True))
    pairs = zip(keys.tolist(), rows.tolist(), strict=True)
    return np.fromiter((pair in gone for pair in pairs), np.bool_, count=len(keys))


def _put_leaves(txn: Txn, db: Any, table: int, name: bytes, keys: Keys, rows: Rows) -> None:
    """Write the pairs of one leaf, in as many as it takes now."""
    if not len(keys):
        txn.delete(name, db=db)
        return
    n = 1 if len(keys) <= LEAF_PAIRS else -(-len(keys) // NEW_LEAF_PAIRS)
    cuts = [len(keys) * number // n for number in range(n + 1)]
    for first, stop in pairwise(cuts):
        if first:
            name = _LEAF.pack(table, int(keys[first]), int(rows[first]))
        value = seal(keys[first:stop].astype("<u8").tobytes() + rows[first:stop].astype("<u4").tobytes())
        put_anew(txn, db, name, value)


def read_leaf(value: bytes | memoryview) -> Part:
    """(keys, rows) of a leaf."""
    n, rest = divmod(len(value) - 4, _PAIR_BYTES)
    if rest:
        raise CorruptError(f"a leaf of {len(value)} bytes does not hold pairs of {_PAIR_BYTES}")
    return np.frombuffer(value, "<u8", count=n), np.frombuffer(value, "<u4", count=n, offset=8 * n)


# -- all of a table


def drop_table(txn: Txn, dbs: dict[str, Any], table: int) -> None:
    """Delete every entry of a table."""
    start = _TABLE.pack(table)
    for name in DATABASES:
        cursor = txn.cursor(db=dbs[name])
        try:
            there = cursor.set_range(start)
            while there and cursor.key()[: _TABLE.size] == start:
                there = cursor.delete()
        finally:
            cursor.close()


def entries_of(txn: Txn, dbs: dict[str, Any]) -> Iterator[tuple[int, Key, list[int]]]:
    """Every (table, key, rows) there is. Raises CorruptError where a seal is broken."""
    for name, value in txn.cursor(db=dbs[POSTINGS]):
        table = _TABLE.unpack_from(name)[0]
        if not trailer_holds(value):
            raise CorruptError(f"a posting of table {table} is not what was written: its checksum differs")
        yield table, bytes(name[_TABLE.size : -_CHUNK.size]), list(read_posting(value))
    for name, value in txn.cursor(db=dbs[ORDERS]):
        table, key, row = _LEAF.unpack(name)
        if not trailer_holds(value):
            raise CorruptError(f"leaf {key}/{row} of table {table} is not what was written: its checksum differs")
        keys, rows = read_leaf(value)
        for each, its in zip(keys.tolist(), rows.tolist(), strict=True):
            yield table, each, [its]
