"""One payload index, as one transaction sees it: sets of rows by key."""

from collections.abc import Iterable, Iterator

import numpy as np
from pyroaring import BitMap

from pqdb.query.bitmaps import bitmap_of
from pqdb.query.definitions import Definition
from pqdb.query.entries import Kind
from pqdb.query.path import Path
from pqdb.store.tables import Keys, Rows, Tables, read_leaf


class Index:
    """An index and the rows there are (`live`)."""

    def __init__(self, tables: Tables, definition: Definition, live: BitMap) -> None:
        self.live = live
        self.kind: Kind = definition.kind
        self.path: Path = definition.path
        self._tables = tables
        self._table = definition.table

    def rows(self, key: bytes) -> BitMap:
        """The rows under a key."""
        return union(self._tables.posting(self._table, key))

    def all_of(self, keys: Iterable[bytes]) -> BitMap:
        """The rows under every one of the keys; none without keys."""
        found: BitMap | None = None
        for key in keys:
            rows = self.rows(key)
            found = rows if found is None else found & rows
            if not found:
                break
        return BitMap() if found is None else found

    def any_of(self, keys: Iterable[bytes]) -> BitMap:
        """The rows under one of the keys at least."""
        return union([piece for key in keys for piece in self._tables.posting(self._table, key)])

    def pieces(self, prefix: bytes) -> Iterator[tuple[bytes, BitMap]]:
        """Every key that begins so, in order, and its rows in one or more pieces."""
        return self._tables.postings(self._table, prefix)

    def span(self, low: int, high: int) -> tuple[Keys, Rows]:
        """Keys (n,) of an ordered table from `low` to `high`, both in, ascending, and their rows (n,)."""
        return self._tables.span(self._table, low, high)

    def in_order(self, low: int, high: int, backwards: bool) -> Iterator[tuple[int, int]]:
        """(key, row) from `low` to `high`, both in, of an ordered table, leaf by leaf."""
        if backwards:
            leaves: Iterable[tuple[Keys, Rows]] = self._tables.leaves_backwards(self._table, low, high)
        else:
            leaves = (read_leaf(value) for _, value in self._tables.leaves(self._table, low, high))
        for keys, rows in leaves:
            first, stop = np.searchsorted(keys, np.uint64(low)), np.searchsorted(keys, np.uint64(high), "right")
            pairs = list(zip(keys[first:stop].tolist(), rows[first:stop].tolist(), strict=True))
            yield from reversed(pairs) if backwards else pairs

    def between(self, low: int, high: int) -> BitMap:
        """The rows with a key from `low` to `high`, both in, of an ordered table."""
        return bitmap_of(self.span(low, high)[1]) if low <= high else BitMap()


def union(parts: list[BitMap]) -> BitMap:
    """All rows of all parts."""
    return BitMap.union(*parts) if len(parts) > 1 else parts[0] if parts else BitMap()
