"""What lies just behind the edge of a filter that lets most points pass, looked for among all of them.

A filter that leaves out the nearest, all that was shown or the topic of the question, makes what is left as hard to
find as neighbours of a higher rank: a recall is calibrated for those (docs/decisions/053).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from pqdb.config import MAX_K
from pqdb.query.select import Selection
from pqdb.search.batch import find, search_batch
from pqdb.search.found import Found
from pqdb.search.index import Index
from pqdb.search.pipeline import search
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.search.trace import Trace
from pqdb.store.layout import bits_at

MOST = 0.75  # of the points pass: what does not is left out of what is found among all
AMPLE, DEEPER = 3.0, 4  # times as many as are expected to be needed are looked at, and so many times more after that
LOOKS = 3  # at most: what lies behind more is found sooner in lists, looked at again (docs/decisions/054)
BEHIND = 0.5  # of those that are expected to pass lie behind the k-th: the last of what is found are the least sure
FEWER = 8  # one in so many points at most is looked at


@dataclass(frozen=True, slots=True)
class Edge:
    """A search for the k nearest that pass, among all points of a snapshot with an index."""

    snapshot: Snapshot
    index: Index
    selection: Selection
    k: int
    recall: float | None
    depths: tuple[int, ...]  # how many of all points to look at, one after the other

    @property
    def share(self) -> float:
        """Of all points, those that pass."""
        return share_of(self.selection, self.snapshot.points.n_live)

    @property
    def plan(self) -> Plan:
        """For the first of the depths."""
        return self.index.plan(self.depths[0], self.recall, None, None)

    def deeper(self) -> "Edge":
        """The same, where the first of the depths was not enough."""
        return replace(self, depths=self.depths[1:])

    def find(self, query: np.ndarray) -> Found | None:
        """The answer to one query (1, d) that is not prepared yet, at the first of the depths, as searches without a
        filter are answered; None where too few pass. Raises InputError as metric.prepare does.
        """
        nearest = find(self.snapshot, query, self.plan, self.snapshot.points.findable, self.depths[0])
        return passing_of(nearest, self.selection, self.k, self.share)

    def search(
        self, queries: np.ndarray, trace: Trace | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
        """The answers to queries (q, d) that are prepared: values and rows (q, k), and the places of the queries for
        which too few pass at each depth.
        """
        k, snapshot, allowed = self.k, self.snapshot, self.selection.allowed
        values, rows = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.uint32)
        edge, left = self, np.arange(len(queries))
        while len(left) and edge.depths:
            depth, some = edge.depths[0], queries[left]
            if len(left) == 1:
                found, nearest = search(snapshot, some, edge.plan, snapshot.points.findable, depth, trace)
            else:
                found, nearest = search_batch(snapshot, some, edge.plan, snapshot.points.findable, depth)
            passing = bits_at(allowed, nearest) & (found > -np.inf)
            done = passing.sum(axis=1) >= enough(k, depth, self.share)
            first = np.argsort(~passing[done], axis=1, kind="stable")[:, :k]
            values[left[done]] = np.take_along_axis(found[done], first, axis=1)
            rows[left[done]] = np.take_along_axis(nearest[done], first, axis=1)
            edge, left = edge.deeper(), left[~done]
        return values, rows, left


def edge_of(snapshot: Snapshot, selection: Selection, k: int, recall: float | None) -> Edge | None:
    """The edge of a filter; None where too few points pass it, or k is too large a share of them, to look among all."""
    index, share = snapshot.index, share_of(selection, snapshot.points.n_live)
    if index is None or share < MOST or snapshot.config.source is None:
        return None
    first, left_out = math.ceil(AMPLE * k / share), snapshot.points.n_live - len(selection)
    for_sure = math.ceil((k + left_out) / (1 - BEHIND))
    if first < for_sure <= DEEPER * first:  # enough even if the nearest are what is left out, as on a next page
        first = for_sure
    most = min(MAX_K, snapshot.points.n_live // FEWER)
    depths = tuple(depth for depth in (first * DEEPER**look for look in range(LOOKS)) if depth <= most)
    return Edge(snapshot, index, selection, k, recall, depths) if depths else None


def share_of(selection: Selection, points: int) -> float:
    """Of so many points, those that pass."""
    return len(selection) / points


def enough(k: int, depth: int, share: float) -> float:
    """How many must pass of the `depth` nearest of all points, of which such a share passes, to be sure of k."""
    return k + BEHIND * depth * share


def passing_of(found: Found, selection: Selection, k: int, share: float) -> Found | None:
    """The k nearest that pass of what one query found among all points, of which so large a share passes; None where
    too few do to be sure of them.
    """
    rows = found.answers["row"][0, : found.filled]
    passing = np.flatnonzero(bits_at(selection.allowed, rows))
    if len(passing) < enough(k, found.words.shape[1], share):
        return None
    return Found(np.ascontiguousarray(found.words[:, passing[:k]]), k, found.every)
