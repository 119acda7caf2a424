"""Which rows lie in which list, and where among them those that pass a filter lie."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pyroaring import BitMap

from pqdb.kernels.cells import KINDS
from pqdb.kernels.pack import GROUP
from pqdb.kernels.places import fill_words, mark_rows, read_places
from pqdb.query.bitmaps import rows_of
from pqdb.query.select import Selection
from pqdb.search.fresh import FreshCodes
from pqdb.search.index import Index
from pqdb.search.snapshot import Snapshot

_NO_PLACES = np.zeros(0, np.int32)
LONGEST = 3.0  # times the mean, and the shortest a third of it: what tells more of them were all in one class


@dataclass(frozen=True, eq=False)
class ListedRows:
    """The place of each row among all places of all groups, list by list. Dead rows have theirs too."""

    places: np.ndarray  # (largest row + 1,) int32, −1 for rows that lie in no list
    firsts: np.ndarray  # (n_lists + 1,) int64 the first group of each list
    kinds: np.ndarray  # (n_lists,) uint8 by the length of the residuals in each list
    kind_lengths: np.ndarray  # (KINDS,) float32 that length, 1 on the mean of all lists
    counts: np.ndarray  # (n_lists,) uint32 rows in each list

    @classmethod
    def read(cls, snapshot: Snapshot, index: Index) -> "ListedRows":
        """From the code blocks of a snapshot."""
        blocks, counts = snapshot.blocks, snapshot.blocks.counts.astype(np.int64)
        firsts = np.concatenate([[0], np.cumsum(-(-counts // GROUP))])
        places, squares = np.full(blocks.watermark, -1, np.int32), np.empty(len(counts), np.float32)
        read_places(blocks.codes, blocks.counts, firsts, *index.record_shape, places, squares)
        mean = float(squares @ counts) / max(1, int(counts.sum()))
        lengths = np.sqrt(squares / mean) if mean > 0 else np.ones(len(counts))
        lengths = np.clip(np.where(counts > 0, lengths, 1), 1 / LONGEST, LONGEST)
        ends = np.linspace(lengths.min(initial=1), lengths.max(initial=1), KINDS + 1)
        kinds = np.clip(np.searchsorted(ends, lengths, side="right") - 1, 0, KINDS - 1)
        return cls(places, firsts, kinds.astype(np.uint8), _middles(ends), blocks.counts)

    @property
    def lists(self) -> np.ndarray:
        """(largest row + 1,) int32: the list of each row; of rows in none, 0."""
        groups = np.maximum(self.places, 0) // GROUP
        lists: np.ndarray = np.searchsorted(self.firsts, groups, side="right").astype(np.int32) - np.int32(1)
        return lists

    @property
    def lengths(self) -> np.ndarray:
        """(n_lists,) float32 of the residuals in each list, to within its kind."""
        lengths: np.ndarray = self.kind_lengths[self.kinds]
        return lengths

    @property
    def mean_groups(self) -> float:
        """Groups of a list."""
        return float(self.firsts[-1]) / max(1, len(self.firsts) - 1)


@dataclass(frozen=True, eq=False)
class Passing:
    """Where the rows lie that pass a filter."""

    listed: ListedRows  # without places
    words: np.ndarray  # (n_groups,) uint32, bit i for row i of the group; at least one word
    rows: np.ndarray  # (n_lists,) int32 how many each list holds, and of fresh rows is going to
    groups: np.ndarray  # (n_lists,) int32 in how many groups
    in_groups: int  # in all lists
    records: dict[Any, Any] = field(default_factory=dict, repr=False)  # search.frame keeps its values here

    @classmethod
    def of(cls, listed: ListedRows, selection: Selection, coded: FreshCodes | None) -> "Passing":
        """The rows of a selection that are in lists, and those that have codes by which they are looked for there."""
        n_lists = len(listed.firsts) - 1
        words = np.zeros(max(1, int(listed.firsts[-1])), np.uint32)
        rows, groups = np.empty(n_lists, np.int32), np.empty(n_lists, np.int32)
        n, turned = len(listed.places), selection.rows
        if 2 * len(selection) > n:  # what does not pass is less
            fill_words(listed.counts, listed.firsts, words)
            turned = turned.flip(0, n)
        mark_rows(listed.places, rows_of(turned & BitMap(range(n))), listed.firsts, words, rows, groups)
        if coded is not None:
            fresh = rows_of(selection.rows & BitMap(range(max(coded.first, n), coded.stop)))
            rows += np.bincount(coded.lists[fresh - coded.first], minlength=n_lists).astype(np.int32)
        return cls(replace(listed, places=_NO_PLACES), words, rows, groups, int(groups.sum()))


def _middles(ends: np.ndarray) -> np.ndarray:
    middles: np.ndarray = ((ends[:-1] + ends[1:]) / 2).astype(np.float32)
    return middles


class PassingKept:
    """The ListedRows of the newest index commit. Threads may share it."""

    def __init__(self) -> None:
        self._kept: tuple[object, ListedRows] | None = None

    def of(self, snapshot: Snapshot, index: Index, selection: Selection) -> Passing:
        """Where the rows of a selection lie, as of a snapshot."""
        made_for, passing = selection.kept.get(Passing, (None, None))
        state = snapshot.blocks.state, snapshot.coded
        if made_for is None or made_for[0] is not state[0] or made_for[1] is not state[1]:
            passing = Passing.of(self._listed_of(snapshot, index), selection, snapshot.coded)
            selection.kept[Passing] = (state, passing)
        assert isinstance(passing, Passing)
        return passing

    def _listed_of(self, snapshot: Snapshot, index: Index) -> ListedRows:
        kept, state = self._kept, snapshot.blocks.state
        if kept is None or kept[0] is not state:
            kept = self._kept = (state, ListedRows.read(snapshot, index))
        return kept[1]
