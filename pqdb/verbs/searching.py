"""The search for the k nearest: what a query takes, and its hits."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from pqdb.config import RETRAIN_GROWTH, TRAIN_ROWS, CollectionConfig
from pqdb.errors import DimensionError, InputError
from pqdb.hits import BatchHits, Hits, Id, PlainHits
from pqdb.kernels.frame import WORDS
from pqdb.metric import as_vectors, prepare
from pqdb.query.conditions import Filter, but_not
from pqdb.query.parse import parse_filter
from pqdb.search.batch import find
from pqdb.search.edge import passing_of, share_of
from pqdb.search.found import Found, answered
from pqdb.search.frame import Frame, forget_others, frame_of
from pqdb.search.fresh import FreshKept
from pqdb.search.further import look_further
from pqdb.search.index import Index
from pqdb.search.lists import PassingKept
from pqdb.search.once import doubts, search_framed
from pqdb.search.plan import Plan
from pqdb.search.selected import Effort, Selected
from pqdb.search.snapshot import Snapshot
from pqdb.search.trace import Trace
from pqdb.search.trim import trimmed
from pqdb.store.blocks import BlockStore
from pqdb.store.moment import Moment
from pqdb.store.points import PointStore
from pqdb.store.reading import Held
from pqdb.store.view import PointView
from pqdb.upkeep.tended import Learned, Tended
from pqdb.upkeep.watch import about_of
from pqdb.upkeep.worker import Upkeep
from pqdb.verbs.base import FLAGS, Guard, Metadata, Verbs
from pqdb.verbs.given import Terms, Wanted, check_depth, check_effort, check_k, check_offset, is_id, ragged

MOST_FRAMES = 256
FLOAT32 = np.dtype(np.float32)


class Searching(Verbs):
    """Points near a query."""

    def __init__(
        self,
        name: str,
        config: CollectionConfig,
        metadata: Metadata,
        stores: tuple[PointStore, BlockStore],
        upkeep: tuple[Upkeep, Tended] | None,
        guard: Guard,
        slots: Mapping[str, int],
    ) -> None:
        super().__init__(name, metadata, stores[0], None if upkeep is None else upkeep[0], guard, slots)
        self.config = config
        self._blocks = stores[1]
        self._tended = None if upkeep is None else upkeep[1]
        self._live = None if self._tended is None else self._tended.queries  # queries to learn from
        self._frames: dict[Terms, Frame] = {}  # of terms asked for before
        # Generation, version of its objects, what was read of them and what was learned: swapped whole, for other
        # threads read it meanwhile.
        self._index: tuple[int, int, Index | None, Learned | None] = (0, 0, None, None)
        self._trained_rows = 0  # of its generation, when it was trained
        self._passing = PassingKept()
        self._fresh = FreshKept()

    @property
    def is_held_up(self) -> bool:
        """Whether searches wait just now: a file of its is mapped anew as soon as those who still read it are done."""
        return self._blocks.is_held_up or self._points.is_held_up

    def search(
        self,
        query: object,
        k: int = 10,
        *,
        recall: float | None = None,
        filter: object = None,
        exact: bool = False,
        nprobe: int | None = None,
        rerank: int | None = None,
        with_payload: bool = True,
        with_vector: Wanted = False,
        offset: int = 0,
        score_threshold: float | None = None,
        using: str | None = None,
    ) -> Any:
        """The k nearest points: Hits for a query (dim,), BatchHits for queries (q, dim).

        query: a vector, several, or the id of a point, which is then not among its own hits. recall: the share of the
        true k nearest to be found, 0.97 if nothing is said. filter: only points that pass are found; min(k, points that
        pass) always are. exact: compare every source vector. nprobe, rerank: lists to scan and candidates to rerank, by
        hand. offset: leave out so many of the nearest. score_threshold: only what scores better. using: the name of the
        vector, where vectors have names. k + offset at most 10,000; fewer points give fewer hits. Raises
        DimensionError, FilterError, InputError, PointNotFoundError.
        """
        self._guard()
        if using:
            self._refuse_name(using)
        asked = None if filter is None else parse_filter(filter)
        if is_id(query):
            with Moment(self._blocks, self._points) as (blocks, points):
                query, asked = self._by_id(self._snapshot(points, blocks), query, asked)
        queries, single = self._queries(query)
        check_k(k)
        check_offset(offset)
        terms = (k, recall, nprobe, rerank)
        may_be_known = single and not exact and not offset
        if may_be_known and asked is None:
            hits = self._again(queries, terms, score_threshold, with_payload, with_vector)
            if hits is not None:
                return hits
        with Moment(self._blocks, self._points) as (blocks, points):
            found = None
            if may_be_known and asked is not None:
                found = self._found_among(points, blocks, queries, terms, asked)
            if found is None:
                found = self._found(self._snapshot(points, blocks), queries, single, asked, exact, offset, terms)
            if asked is None and nprobe is None and not exact and self._live is not None and self._index[2] is not None:
                self._live.offer(queries)
            if offset or score_threshold is not None:
                found = trimmed(found, offset, score_threshold, self.metric)
            if single:
                return self._hits(points, found, 0, with_payload, with_vector, self.config.metric)
            return BatchHits(self._hits_of_all(points, found, with_payload, with_vector), k)

    def _again(
        self, query: np.ndarray, terms: Terms, threshold: float | None = None, with_payload: bool = True,
        with_vector: Wanted = False,
    ) -> Hits | None:  # fmt: skip
        """The answer to a query like one before: the same terms, nothing written or learned since. None where it is not
        like that.
        """
        try:
            frame = self._frames.get(terms)
        except TypeError:  # no numbers: whoever makes a plan of them says so
            return None
        if frame is None or not self._is_current(frame):
            return None
        with Held(self._blocks.env, self._points.env) as held:
            if not held.are(frame.blocks, frame.points) or (frame.compared and self._is_time(frame)):
                return None
            words = np.empty((1, frame.plan.k, WORDS), np.uint64)
            found = search_framed(frame, query, frame.points.findable, words)
            if terms[2] is None and found.filled < frame.plan.k:
                return None
            if self._live is not None and terms[2] is None:
                self._live.offer(query)
            if threshold is not None:
                found = trimmed(found, 0, threshold, self.metric)
            if with_vector or found.every & FLAGS:
                points = self._points.within(held.second_txn, frame.points)
                return self._hits(points, found, 0, with_payload, with_vector, self.config.metric)
        return Hits(found.words, 0, found.filled, self.config.metric)

    def _is_current(self, frame: Frame) -> bool:
        """Whether nothing was learned since it was made, and it is of the index that is searched now."""
        _, _, index, learned = self._index
        return frame.index is index and (self._tended is None or self._tended.learned is learned)

    def _is_time(self, frame: Frame) -> bool:
        """Note a query of a frame that compares rows, which others do not ask; whether it is time to code them."""
        return self._fresh.is_time(frame.compared, self._points.row_bytes)

    def _found_among(
        self, points: PointView, blocks: Any, query: np.ndarray, terms: Terms, asked: Filter
    ) -> Found | None:
        """As _again, with a filter."""
        selection = self._selector.select(points, asked)
        try:
            frame, among = selection.kept.get(terms, (None, None))
        except TypeError:
            return None
        if frame is None or frame.points is not points.state or frame.blocks is not blocks.state:
            return None
        if not self._is_current(frame) or (frame.compared and self._is_time(frame)):
            return None
        words = np.empty((1, frame.plan.k, WORDS), np.uint64)
        if among is None:
            found = search_framed(frame, query, points.findable, words)
            return passing_of(found, selection, terms[0], share_of(selection, points.n_live))
        found = search_framed(frame, query, selection.allowed, words, among, doubts(1, among))
        if found.filled == 0:  # lists would take longer than scoring the rows
            selection.kept.pop(terms, None)
        return found if found.filled == frame.plan.k and not found.doubtful else None

    def _found(
        self, snapshot: Snapshot, queries: np.ndarray, single: bool, asked: Filter | None, exact: bool, offset: int,
        terms: Terms,
    ) -> Found:  # fmt: skip
        k, _, nprobe, _ = terms
        kept = min(check_depth(k, offset), max(1, snapshot.points.n_live))
        of_kept = kept, *terms[1:]
        if asked is not None:
            selected, found = self._selected(snapshot, queries, of_kept, asked, exact)
            if selected.again is not None and not offset:
                if len(selected.selection.kept) > MOST_FRAMES:
                    selected.selection.kept.clear()
                selected.selection.kept[terms] = selected.again
            return found
        plan, allowed = self._plan(snapshot, of_kept, exact), snapshot.points.findable
        by_recall = plan if nprobe is None else None
        if single and plan is not None and snapshot.index is not None and self.config.rerank == "int8" and not offset:
            forget_others(self._frames, snapshot)
            if len(self._frames) > MOST_FRAMES:
                self._frames = {}
            self._frames[terms] = frame_of(snapshot, snapshot.index, plan)
        found = find(snapshot, queries, plan, allowed, kept)
        if by_recall is None or found.filled == len(queries) * kept:
            return found
        prepared = prepare(queries, self.dim, self.metric)
        values, rows = found.values_and_rows()
        return answered(snapshot.points, *look_further(snapshot, prepared, by_recall, allowed, values, rows))

    # -- how

    def _selected(
        self, snapshot: Snapshot, queries: np.ndarray, terms: Terms, asked: Filter, exact: bool,
        trace: Trace | None = None,
    ) -> tuple[Selected, Found]:  # fmt: skip
        """The search among the points that pass, and the answers."""
        k, recall, nprobe, _ = terms
        plan = self._plan(snapshot, terms, exact)
        selected = Selected(snapshot, self._selector.select(snapshot.points, asked), self._passing)
        if trace:
            trace.mark("filter")
        effort = Effort(recall, plan if nprobe is not None else None, exact)
        most = max(1, min(k, len(selected.selection)))
        if len(queries) > 1:
            return selected, selected.search_batch(prepare(queries, self.dim, self.metric), most, effort)
        return selected, selected.search(queries, most, effort, trace)

    def _queries(self, query: object) -> tuple[np.ndarray, bool]:
        """Queries (q, dim) float32, which are prepared on their way, and whether it was a single one."""
        if type(query) is np.ndarray and query.dtype == FLOAT32 and query.shape == (self.config.dim,):
            return (query if query.flags.carray else query.copy())[None], True  # as kernels were compiled for
        try:
            array = np.asarray(query, dtype=object if ragged(query) else None)
        except ValueError as problem:
            raise InputError(f"a query is numbers in rows of equal length: {problem}") from None
        if array.ndim == 0 and not isinstance(query, float | int):
            raise InputError(f"a query is {self.dim} numbers, rows of so many, or the id of a point, not {query!r:.60}")
        if array.ndim == 0 or array.size == 0:
            raise DimensionError(f"expected a query of {self.dim} dimensions, not an array of shape {array.shape}")
        return as_vectors(array, self.dim), array.ndim == 1

    def _examples(self, snapshot: Snapshot, given: Sequence[object] | np.ndarray) -> np.ndarray:
        """(n, dim) float32: vectors as they are prepared, and those of points for ids. Raises PointNotFoundError."""
        found = [np.zeros((0, self.config.dim), np.float32)]
        for example in given:
            if not is_id(example):
                found.append(prepare(self._one_query(example), self.config.dim, self.config.metric))
                continue
            row = self._row_of_example(snapshot.points, example)
            found.append(self._vectors_of(snapshot.points, np.array([row], np.int64)))
        return np.concatenate(found)

    def _by_id(self, snapshot: Snapshot, point: Id, asked: Filter | None) -> tuple[np.ndarray, Filter]:
        """The vector (dim,) of a point to search by, and what is asked of hits, of which it is not to be one."""
        return self._examples(snapshot, [point])[0], but_not(asked, [point])

    def _one_query(self, query: object) -> np.ndarray:
        """(1, dim) float32. Raises DimensionError."""
        queries, single = self._queries(query)
        if not single:
            raise DimensionError(f"expected one query of ({self.config.dim},), not {len(queries)} queries")
        return queries

    def _snapshot(self, points: PointView, blocks: Any) -> Snapshot:
        generation, version, index, known = self._index
        learned = self._tended.learned if self._tended else None
        if generation != blocks.generation or version != blocks.objects_version or learned is not known:
            index = Index.load(blocks) if blocks.generation else None
            if index and learned and learned.fits(blocks.generation, index.calibration):
                calibration = learned.on(index.calibration, index.router.n_lists)
                index = replace(index, calibration=calibration)
            self._frames = {}
            self._trained_rows = about_of(blocks).trained_rows if index else 0
            self._index = (blocks.generation, blocks.objects_version, index, learned)
        if index is not None and self._is_left_with_few(points):
            index = None
        shape = self._points.rows_per_run, self._points.row_bytes
        coded = self._fresh.of(self.config, points, index, blocks.watermark, shape)
        return Snapshot(self.config, points, blocks, index, *shape, points.n_rows, coded)

    def _is_left_with_few(self, points: PointView) -> bool:
        """Whether so few points are left of those an index was made for that comparing all of them is better: what a
        recall takes was learned of others, and no new index is made of so few (upkeep.steps).
        """
        if points.n_live >= TRAIN_ROWS or self.config.source is None:
            return False
        return points.n_live <= self._trained_rows / RETRAIN_GROWTH

    def _plan(self, snapshot: Snapshot, terms: Terms, exact: bool) -> Plan | None:
        """The effort to spend; None to compare everything exactly."""
        if not exact and snapshot.index is not None:
            with suppress(TypeError):  # what is no number, and cannot be looked for: it is refused below
                known = snapshot.index.plans.get(terms)
                if known is not None:  # these numbers were checked when it was made
                    return known
        k, recall, nprobe, rerank = terms
        check_effort(k, recall, nprobe, rerank)
        if exact and self.config.source is None and snapshot.fresh_from > 0:
            raise InputError("exact=True compares source vectors, which source=None does not keep")
        if exact or snapshot.index is None:
            return None
        if rerank is not None and rerank > snapshot.n_rows:
            rerank = max(k, snapshot.n_rows)
        return snapshot.index.plan(k, recall, nprobe, rerank)

    def _hits_of_all(self, points: PointView, found: Found, with_payload: bool, with_vector: Wanted) -> Sequence[Hits]:
        """The answers to all queries."""
        if not with_vector and not found.every & FLAGS:
            return PlainHits(found.words, self.config.metric)
        return [
            self._hits(points, found, i, with_payload, with_vector, self.config.metric)
            for i in range(len(found.words))
        ]
