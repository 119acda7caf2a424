"""Filters of one collection: what was found for the last few is kept until the next commit."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from pyroaring import BitMap

from pqdb.query.bitmaps import bitmap_of_bits
from pqdb.query.conditions import Filter
from pqdb.query.definitions import Definition, definitions
from pqdb.query.select import Selecting, Selection
from pqdb.store.view import PointView

UNNAMED: Mapping[str, int] = {"": 0}
KEPT_BYTES = 64 << 20  # of bits, of all selections kept; one is kept in any case
MOST_KEPT = 256


class Selector:
    """Selections, made when first asked for, among the rows of one slot. Threads may share it."""

    def __init__(self, slots: Mapping[str, int] = UNNAMED) -> None:
        self._slots = slots  # of the vectors, by their names
        self._lock = threading.Lock()
        self._seq = -1
        self._live: BitMap | None = None
        self._kept: OrderedDict[Filter, Selection] = OrderedDict()
        self._held: tuple[Mapping[str, Any] | None, tuple[Definition, ...]] = (None, ())

    def select(self, view: PointView, filter: Filter) -> Selection:
        """The rows of a snapshot that pass a filter."""
        with self._lock:
            if view.seq == self._seq and filter in self._kept:
                self._kept.move_to_end(filter)
                return self._kept[filter]
        live = self._live_of(view)
        if filter.asks_nothing:
            return Selection(live, view.n_rows)
        found = Selecting(view, self.definitions(view), live, self._slots).select(filter)
        with self._lock:
            if view.seq == self._seq:
                self._kept[filter] = found
                while len(self._kept) > max(1, min(MOST_KEPT, KEPT_BYTES * 8 // max(1, view.n_rows))):
                    self._kept.popitem(last=False)
        return found

    def definitions(self, view: PointView) -> tuple[Definition, ...]:
        """The indexes as of a snapshot."""
        manifest = view.manifest
        known, held = self._held
        if known is not manifest:
            held = definitions(manifest)
            self._held = (manifest, held)
        return held

    def _live_of(self, view: PointView) -> BitMap:
        with self._lock:
            if view.seq == self._seq and self._live is not None:
                return self._live
        live = bitmap_of_bits(view.live, view.n_rows)
        with self._lock:
            if view.seq >= self._seq:
                self._seq, self._live = view.seq, live
                self._kept.clear()
        return live
