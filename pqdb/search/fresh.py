"""Codes of fresh rows, kept in memory: a row that is in no list yet is then scanned like those that are.

Comparing a fresh row costs every query as much as scanning fifty coded ones. Coding it costs as much as comparing it
with some hundred queries, so it is coded once so many have been, a few rows at a time, by the query whose turn it is
(as one buys skis when the rent has come to their price: at worst, twice the least is spent). Nothing is written: upkeep
moves fresh rows into lists when they are many, and every process codes what it searches.
"""

import threading
from dataclasses import dataclass

import numpy as np

from pqdb.config import CollectionConfig
from pqdb.kernels.pack import GROUP
from pqdb.partition.assign import assign
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.source import decode_source
from pqdb.search.coded import code_rows
from pqdb.search.index import Index
from pqdb.store.view import PointView

STEP = 8 * GROUP  # rows coded at a time
ROW_NS, ROW_BYTE_NS = 15.0, 0.06  # a row compared with a query
CODE_NS, FLOP_NS = 5_000.0, 0.01  # a row coded, and each operation of comparing it with all centroids


@dataclass(frozen=True, eq=False, slots=True)
class FreshCodes:
    """Codes of rows first … stop − 1, in order, whether they are alive or not."""

    generation: int
    first: int
    records: np.ndarray  # (groups · record_bytes,) uint8 groups of 32, as a list has them
    lists: np.ndarray  # (32 · groups,) uint32 the list each is going to

    @property
    def stop(self) -> int:
        """The row behind the last."""
        return self.first + len(self.lists)


class FreshKept:
    """The codes one process has of a collection's fresh rows. Threads may share it."""

    def __init__(self) -> None:
        self._held: FreshCodes | None = None
        self._coding = threading.Lock()
        self._spent = 0.0  # ns on comparing rows that could have had codes
        self._price = 0.0  # ns that coding the next of them takes

    def is_time(self, compared: int, row_bytes: int) -> bool:
        """Note a query that is compared with so many rows; whether it is time to code some of them."""
        if compared < STEP:
            return False
        self._spent += compared * (ROW_NS + ROW_BYTE_NS * row_bytes)
        return self._spent >= self._price

    def of(
        self, config: CollectionConfig, points: PointView, index: Index | None, watermark: int, row_bytes: int
    ) -> FreshCodes | None:
        """The codes that a search of this state can use, a few more of them when it is time. None where there are none:
        without source vectors to score them by, or where an estimate needs more than int8 centroids.
        """
        if index is None or config.source is None or not isinstance(index.codebook, Codebook) or len(index.centroids):
            return None
        held = self._held
        if held is not None and (held.generation != index.generation or held.stop <= watermark):
            held = self._held = None  # all of its rows are in lists
        if held is not None and (held.first > watermark or held.stop > points.n_rows):
            return None  # a state from before these codes
        compared = points.n_rows - (watermark if held is None else held.stop)
        self._price = STEP * (CODE_NS + FLOP_NS * 2 * index.router.n_lists * config.dim)
        if self.is_time(compared, row_bytes) and self._coding.acquire(blocking=False):
            try:
                held = self._held = _more(held, config, points, index, watermark)
                self._spent = 0.0
            finally:
                self._coding.release()
        return held


def _more(
    held: FreshCodes | None, config: CollectionConfig, points: PointView, index: Index, watermark: int
) -> FreshCodes:
    """With the next STEP rows behind those held; what is in lists by now goes."""
    first = watermark if held is None else held.stop
    rows = np.arange(first, first + STEP, dtype=np.int64)
    there = (points.live[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(bool)
    vectors = np.zeros((STEP, config.dim), np.float32)
    vectors[there] = decode_source(points.source_of(rows[there]), config.dim, config.kept_source)
    moved = index.router.to_index_space(vectors)
    lists = assign(moved, index.router.centroids).astype(np.uint32)
    coded = code_rows(index.router, index.codebook, moved, rows, lists).packed(index.codebook, None)[0]
    records = coded[: STEP // GROUP * index.record_bytes]
    if held is None:
        return FreshCodes(index.generation, first, records.copy(), lists)
    gone = (watermark - held.first) // GROUP  # groups
    records = np.concatenate([held.records[gone * index.record_bytes :], records])
    lists = np.concatenate([held.lists[gone * GROUP :], lists])
    return FreshCodes(index.generation, held.first + gone * GROUP, records, lists)
