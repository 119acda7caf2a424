"""Codes of fresh rows, kept in memory: a row that is in no list yet is then scanned like those that are.

Comparing a fresh row costs every query as much as scanning fifty coded ones, and of these it scans only those in its
lists. Coding a row costs as much as comparing it with some hundred queries, so it is done once so many have been, a few
rows at a time, by the query whose turn it is (as one buys skis when the rent has come to their price: at worst, twice
the least is spent). Nothing is written: upkeep moves fresh rows into lists when they are many, and every process codes
what it searches.
"""

import math
import threading
from dataclasses import dataclass
from typing import Self

import numpy as np

from pqdb.config import CollectionConfig
from pqdb.partition.assign import assign
from pqdb.partition.router import Router
from pqdb.quantization.codebook import Codebook
from pqdb.quantization.source import decode_source
from pqdb.search.coded import ListRows, code_rows, without_residuals
from pqdb.search.index import Index
from pqdb.store.view import PointView

LEAST, STEP, GROWTH, LARGEST = 32, 256, 4, 2_048  # rows coded at a time: a quarter of those held, from STEP to LARGEST
MOST = 65_536  # rows with codes: some 6 MB of them
ROW_NS, ROW_BYTE_NS = 15.0, 0.06  # a source row compared with a query, somewhere in memory
STEP_NS, CODE_NS, FLOP_NS = 3e5, 5_000.0, 0.01  # a step; a row coded, and each operation of comparing it with centroids
HELD_NS = 300.0  # a row that is held, put in order anew


@dataclass(frozen=True, eq=False, slots=True)
class FreshCodes:
    """Codes of rows first … stop − 1, whether they are alive or not: as they came, and in the order of lists."""

    router: Router
    first: int
    coded: ListRows  # in the order of rows
    lists: np.ndarray  # (n,) int32 the list each is going to
    records: np.ndarray  # uint8 groups of 32 codes, as a list has them, in the order of lists
    rows: np.ndarray  # (n,) uint32 their rows, in that order
    starts: np.ndarray  # (n_lists + 1,) int64 where those of each list begin

    @classmethod
    def of(cls, router: Router, book: Codebook, first: int, coded: ListRows, lists: np.ndarray) -> Self:
        """Put them in the order of lists."""
        order = np.argsort(lists, kind="stable")
        starts = np.zeros(router.n_lists + 1, np.int64)
        np.cumsum(np.bincount(lists, minlength=router.n_lists), out=starts[1:])
        records = coded.take(order).packed(book, None)[0]
        return cls(router, first, coded, lists, records, coded.rows[order], starts)

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
        self._price = math.inf  # ns that coding the next of them takes; never, where they cannot have any

    def is_time(self, compared: int, row_bytes: int) -> bool:
        """Note a query that is compared with so many rows; whether it is time to code some of them."""
        if compared < LEAST:
            return False
        self._spent += compared * (ROW_NS + ROW_BYTE_NS * row_bytes)
        return self._spent >= self._price

    def of(
        self, config: CollectionConfig, points: PointView, index: Index | None, watermark: int, shape: tuple[int, int]
    ) -> FreshCodes | None:
        """The codes that a search of this state can use, a few more of them when it is time. None where there are none:
        without source vectors to score them by, or where an estimate needs more than int8 centroids. shape: rows of a
        run of source rows, and bytes of a row.
        """
        if index is None or config.source is None or not isinstance(index.codebook, Codebook) or len(index.centroids):
            self._held, self._price = None, math.inf
            return None
        held = self._held
        if held is not None and (held.router is not index.router or held.stop <= watermark):
            held = self._held = None  # its rows are in lists, or lists are others now
        if held is not None and (held.first > watermark or held.stop > points.n_rows):
            return None  # a state from before these codes
        compared = points.n_rows - (watermark if held is None else held.stop)
        n_held = 0 if held is None else len(held.lists)
        step = min(max(STEP, min(n_held // GROWTH, LARGEST)), compared, MOST - n_held)
        self._price = _price_of(step, n_held, index.router.n_lists, config.dim)
        if self.is_time(compared, shape[1]) and self._coding.acquire(blocking=False):
            try:
                first = watermark if held is None else held.stop
                rows = np.arange(first, first + step, dtype=np.int64)
                there = points.runs[rows // shape[0]] != 0  # the dead too: a row may be written before it is alive
                vectors = np.zeros((step, config.dim), np.float32)
                vectors[there] = decode_source(points.source_of(rows[there]), config.dim, config.kept_source)
                held = self._held = _more(held, index, watermark, rows, vectors)
                self._spent = 0.0
            finally:
                self._coding.release()
        return held


def _price_of(rows: int, held: int, n_lists: int, dim: int) -> float:
    """ns that coding so many rows takes, beside so many held."""
    return STEP_NS + HELD_NS * held + rows * (CODE_NS + FLOP_NS * 2 * n_lists * dim) if rows else math.inf


def _more(
    held: FreshCodes | None, index: Index, watermark: int, rows: np.ndarray, vectors: np.ndarray
) -> FreshCodes:
    """With rows (n,) of these vectors (n, dim) behind those held; what is in lists by now goes."""
    moved = index.router.to_index_space(vectors)
    lists = assign(moved, index.router.centroids)
    coded = without_residuals(code_rows(index.router, index.codebook, moved, rows, lists))
    if held is not None:
        kept = np.arange(watermark - held.first, len(held.lists))
        coded = held.coded.take(kept).joined(coded)
        lists = np.concatenate([held.lists[kept], lists])
    return FreshCodes.of(index.router, index.book, watermark, coded, lists)
