"""Filters of one collection: what was found for the last few is kept until the next commit."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from pyroaring import BitMap

from pqdb.memory import Memory
from pqdb.query.bitmaps import bitmap_of_bits
from pqdb.query.conditions import Filter, count_named, within
from pqdb.query.definitions import Definition, counted, definitions
from pqdb.query.select import FEW_ROWS, Selecting, Selection
from pqdb.query.tenants import tenant_of
from pqdb.store.view import PointView

UNNAMED: Mapping[str, int] = {"": 0}
KEPT_BYTES = 64 << 20  # of all selections kept, about; one is kept in any case
KEPT_SHARE = 16  # under a limit on memory they may take one part in so many
MOST_KEPT = 10_000
ROW_BYTES = 4  # of a row's number
NAMED_BYTES = 128  # of a value that a filter names, with what holds it


class Selector:
    """Selections, made when first asked for, among the rows of one slot. Threads may share it."""

    def __init__(self, slots: Mapping[str, int] = UNNAMED, memory: Memory | None = None) -> None:
        self._most_bytes = KEPT_BYTES if memory is None else memory.bytes(KEPT_BYTES, KEPT_SHARE)
        self._slots = slots  # of the vectors, by their names
        self._lock = threading.Lock()
        self._seq = -1  # of what is kept
        self._bytes = 0
        self._kept: OrderedDict[Filter, Selection] = OrderedDict()
        self._live: tuple[int, BitMap] = (-1, BitMap())  # of which commit, and the rows
        self._held: tuple[Mapping[str, Any] | None, tuple[Definition, ...]] = (None, ())

    def select(self, view: PointView, filter: Filter) -> Selection:
        """The rows of a snapshot that pass a filter."""
        with self._lock:
            known = self._kept.get(filter) if view.seq == self._seq else None
            if known is not None:
                self._kept.move_to_end(filter)
                return known
        if filter.asks_nothing:
            return Selection(self._live_of(view), view.n_rows)
        held = self.definitions(view)
        tenant, asked = tenant_of(view, held, filter), self.asked(view, filter)
        if tenant is None:
            found = Selecting(view, held, self._live_of(view), self._slots).select(asked)
        else:
            found = Selecting(view, held, tenant.rows, self._slots, tenant.condition).select(asked)
        self._keep(view.seq, filter, found)
        return found

    def asked(self, view: PointView, filter: Filter) -> Filter:
        """What a filter asks of points as of a snapshot: for no words but those that text indexes count."""
        return within(filter, counted(self.definitions(view)))

    def definitions(self, view: PointView) -> tuple[Definition, ...]:
        """The indexes as of a snapshot."""
        manifest = view.manifest
        known, held = self._held
        if known is not manifest:
            held = definitions(manifest)
            self._held = (manifest, held)
        return held

    def _keep(self, seq: int, filter: Filter, found: Selection) -> None:
        """Keep a selection of the newest commit; those asked for longest ago make room."""
        with self._lock:
            if seq > self._seq:
                self._seq, self._bytes = seq, 0
                self._kept.clear()
            if seq < self._seq or filter in self._kept:
                return
            self._kept[filter] = found
            self._bytes += _bytes_of(filter, found)
            while len(self._kept) > 1 and (self._bytes > self._most_bytes or len(self._kept) > MOST_KEPT):
                self._bytes -= _bytes_of(*self._kept.popitem(last=False))

    def _live_of(self, view: PointView) -> BitMap:
        seq, live = self._live
        if seq != view.seq:
            live = bitmap_of_bits(view.live, view.n_rows)
            if view.seq > seq:
                self._live = (view.seq, live)
        return live


def _bytes_of(filter: Filter, selection: Selection) -> int:
    """What a selection takes in memory, at most: the filter it is found by; two bytes a row in its bitmap or a bit of
    every row there is; numbers, where few enough to be scored one by one; bits, where enough to be scanned for, in the
    order of rows and of lists, and two numbers for each list.
    """
    rows, bits = len(selection), selection.n_rows // 8
    numbers = ROW_BYTES * rows if selection.has_few else 0
    named = NAMED_BYTES * count_named(filter)
    return named + min(2 * rows, bits) + numbers + (3 * bits if rows > FEW_ROWS else 0)
