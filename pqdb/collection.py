"""One collection: its verbs, each one commit or one snapshot."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pqdb.config import DEFAULT_RECALL, MAX_PAYLOAD_BYTES, CollectionConfig
from pqdb.errors import DimensionError, InputError, PayloadError, PointNotFoundError, ReadOnlyError
from pqdb.hits import BatchHits, Explanation, Hits, Id, Page, Payload, Point, RecallReport
from pqdb.metric import Metric, prepare
from pqdb.partition.assign import assign
from pqdb.quantization.source import decode_source, encode_source
from pqdb.query.conditions import Filter, but_not
from pqdb.query.facets import facet
from pqdb.query.indexing import create_index, drop_index
from pqdb.query.matching import Value
from pqdb.query.order import in_order, parse_order
from pqdb.query.paging import page
from pqdb.query.parse import parse_filter
from pqdb.query.path import parse_path
from pqdb.query.payloads import merged, without
from pqdb.query.select import Selection
from pqdb.query.selector import Selector
from pqdb.query.writing import change_where, delete_where, filter_of, replace_where
from pqdb.search.batch import search_batch
from pqdb.search.frame import Frame, frame_of
from pqdb.search.index import Index
from pqdb.search.lists import ListedRowsKept
from pqdb.search.measure import measure_queries, measure_rows
from pqdb.search.pipeline import Found, Trace, answered, search, search_framed, search_query
from pqdb.search.plan import Plan
from pqdb.search.selected import Effort, Selected
from pqdb.search.snapshot import Snapshot
from pqdb.search.trim import trimmed
from pqdb.store.batch import PointBatch
from pqdb.store.blocks import BlockStore
from pqdb.store.layout import KIND_SHIFT, PAYLOAD_FLAG
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.agree import disagreements
from pqdb.upkeep.report import report
from pqdb.upkeep.train import Progress
from pqdb.upkeep.worker import Learned, Upkeep
from pqdb.variants import Terms, Variants, check_k, check_offset

Guard = Callable[[], None]
Metadata = Callable[[], dict[str, Any] | None]
Ids = Sequence[Id] | np.ndarray | Id


MOST_FRAMES = 256
KIND_MASK = 3  # of a row record's last word: an id that is no integer


class Collection(Variants):
    """Points with vectors of one dimension and metric. Made by Database; safe to share between threads."""

    def __init__(
        self,
        name: str,
        config: CollectionConfig,
        metadata: Metadata,
        stores: tuple[PointStore, BlockStore],
        upkeep: Upkeep | None,
        guard: Guard,
    ) -> None:
        self.name = name
        self.config = config
        self._metadata = metadata  # as it is now, whoever changed it
        self._points, self._blocks = stores
        self._upkeep = upkeep  # None: opened read-only
        self._live = upkeep.queries if upkeep is not None else None  # queries to learn from
        self._guard = guard  # raises if this collection is closed, or was dropped by anyone
        self._learned: Learned | None = None
        self._frames: dict[Terms, Frame] = {}  # of terms asked for before
        self._index: tuple[int, int, Index | None] = (0, 0, None)  # swapped whole: other threads read it meanwhile
        self._selector = Selector()
        self._listed = ListedRowsKept()

    @property
    def dim(self) -> int:
        """Dimensions of every vector."""
        return self.config.dim

    @property
    def metric(self) -> Metric:
        """cosine, dot or l2."""
        return self.config.metric

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What the collection's maker noted about it; `Database.set_metadata` changes it."""
        return self._metadata()

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, dim={self.dim}, metric={self.metric!r})"

    # -- writing

    def upsert(
        self, ids: Sequence[Id] | np.ndarray | Id, vectors: object, payloads: Sequence[Payload | None] | None = None
    ) -> int:
        """Write points, replacing those of the same id; returns the sequence of the commit, once it is on disk.

        vectors (n, dim) array-like; of equal ids in one call the last wins. Raises InputError and kin (DimensionError,
        IdError, PayloadError) before anything is written, ReadOnlyError, StorageError.
        """
        upkeep = self._writer()
        names, rows, raw = self._new_points(ids, vectors, payloads)
        if not names:
            raise InputError("an upsert needs at least one point")

        def write(batch: PointBatch) -> int:
            batch.upsert(names, rows, raw)
            return batch.seq

        sequence = self._points.commit(write)
        upkeep.written(len(names))
        return sequence

    def set_vectors(self, ids: Sequence[Id] | np.ndarray | Id, vectors: object) -> int:
        """Give points other vectors; their payloads stay. Returns the sequence of the commit.

        vectors (n, dim) array-like. Raises PointNotFoundError for an id that is not there, DimensionError and kin;
        then nothing is changed.
        """
        upkeep = self._writer()
        names = _as_list(ids)
        prepared = prepare(vectors, self.dim, self.metric)
        if not names or len(names) != len(prepared):
            raise InputError(f"{len(names)} ids for {len(prepared)} vectors")
        with self._points.write() as batch:
            for name in names:
                if not batch.has(name):
                    raise PointNotFoundError(f"there is no point {name!r}")
            raw = [batch.payload_of(name) for name in names]
            batch.upsert(names, encode_source(prepared, self.config.kept_source), raw)
        upkeep.poke()
        return batch.seq

    def delete(self, ids: Ids | None = None, *, filter: object = None) -> int:
        """Delete points by id, or all that pass a filter; returns how many there were. Absent ids are no error."""
        upkeep = self._writer()
        names = _ids_or_filter("delete", ids, filter)
        if names is None:
            deleted = delete_where(self._points, self._selector, parse_filter(filter))
        else:
            deleted = self._points.commit(lambda batch: batch.delete(names))
        upkeep.poke()
        return deleted

    def replace(
        self,
        where: object,
        ids: Ids,
        vectors: object,
        payloads: Sequence[Payload | None] | None = None,
        *,
        if_version: int | None = None,
    ) -> int:
        """Take out all points that pass, and write new ones, in one commit; returns its sequence.

        where: a filter, or a key and the value there, as ("file", "a.pdf"). if_version: the newest version among the
        points that go, 0 if there are none; raises ConflictError where it is another. No reader ever sees half.
        """
        upkeep = self._writer()
        new = self._new_points(ids, vectors, payloads)
        sequence = replace_where(self._points, self._selector, filter_of(where), new, if_version)
        upkeep.written(len(new[0]))
        return sequence

    def set_payload(
        self, payload: Payload, ids: Ids | None = None, *, filter: object = None, key: str | None = None
    ) -> int:
        """Merge keys into payloads, at their top or into the objects at a key; returns how many points there were."""
        _payload_bytes(payload)
        at = None if key is None else parse_path(key)
        return self._change_payloads("set_payload", ids, filter, lambda held: merged(held or {}, payload, at))

    def overwrite_payload(self, payload: Payload, ids: Ids | None = None, *, filter: object = None) -> int:
        """Give points this payload in place of theirs; returns how many points there were."""
        _payload_bytes(payload)
        return self._change_payloads("overwrite_payload", ids, filter, lambda _: payload)

    def delete_payload(self, keys: Sequence[str], ids: Ids | None = None, *, filter: object = None) -> int:
        """Take what lies at some keys out of payloads; returns how many points there were."""
        paths = [parse_path(key) for key in ([keys] if isinstance(keys, str) else keys)]
        return self._change_payloads("delete_payload", ids, filter, lambda held: held and without(held, paths))

    def clear_payload(self, ids: Ids | None = None, *, filter: object = None) -> int:
        """Take the payloads of points away; returns how many points there were."""
        return self._change_payloads("clear_payload", ids, filter, lambda _: None)

    def create_payload_index(self, key: str, kind: str) -> bool:
        """Index what lies at a key of every payload, now and from now on; returns whether it was not indexed so before.

        kind: keyword, integer, float, bool, datetime, uuid, geo or text. What a filter lets through stays the same; it
        is found sooner. Raises FilterError for a malformed key, InputError for an unknown kind.
        """
        self._writer()
        return create_index(self._points, key, kind)

    def drop_payload_index(self, key: str) -> bool:
        """Drop the indexes on a key; returns whether there was one."""
        self._writer()
        return drop_index(self._points, key)

    # -- reading

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, id: object) -> bool:
        self._guard()
        if not isinstance(id, str | int | np.integer) or isinstance(id, bool):
            return False
        with self._points.read() as points:
            return points.row_of(int(id) if isinstance(id, np.integer) else id) is not None

    def count(self, filter: object = None) -> int:
        """How many points there are, or how many pass a filter."""
        self._guard()
        with self._points.read() as points:
            return points.n_live if filter is None else len(self._selection(points, filter))

    def facet(self, key: str, filter: object = None, limit: int = 10) -> list[tuple[Value, int]]:
        """The most frequent values at a key (strings, integers, true and false), and how many points have each."""
        self._guard()
        _check_at_least_one("limit", limit)
        path = parse_path(key)
        with self._points.read() as points:
            selection = self._selection(points, {} if filter is None else filter)
            return facet(points, selection, path, self._selector.definitions(points), limit)

    def sample(
        self,
        n: int = 10,
        filter: object = None,
        with_payload: bool = True,
        with_vector: bool = False,
        seed: int | None = None,
    ) -> list[Point]:
        """Up to n different points drawn at random, of all or of those that pass a filter."""
        self._guard()
        _check_at_least_one("n", n)
        with self._blocks.read() as blocks, self._points.read() as points:
            rows = self._selection(points, {} if filter is None else filter).array
            drawn = np.random.default_rng(seed).choice(rows, min(n, len(rows)), replace=False).astype(np.int64)
            return self._points_of(self._snapshot(points, blocks), drawn, with_payload, with_vector)

    def get(
        self, ids: Sequence[Id] | np.ndarray | Id, with_payload: bool = True, with_vector: bool = False
    ) -> list[Point]:
        """The points of these ids, in their order; absent ones are left out."""
        self._guard()
        with self._blocks.read() as blocks, self._points.read() as points:
            rows = [row for row in map(points.row_of, _as_list(ids)) if row is not None]
            return self._points_of(self._snapshot(points, blocks), np.array(rows, np.int64), with_payload, with_vector)

    def scroll(
        self,
        limit: int = 100,
        offset: Id | None = None,
        with_payload: bool = True,
        with_vector: bool = False,
        filter: object = None,
        order_by: object = None,
    ) -> Page:
        """Points in id order (integers, then UUIDs, then other strings), from the id `offset` on; those that pass.

        order_by: a key, or {"key": …, "direction": "asc" | "desc", "start_from": …}: points in the order of the numbers
        and points in time there, which are the page's `order_values`; it has no offset and no next page.
        """
        self._guard()
        _check_at_least_one("limit", limit)
        with self._blocks.read() as blocks, self._points.read() as points:
            rows, following, values = self._page(points, limit, offset, filter, order_by)
            shown = self._points_of(self._snapshot(points, blocks), np.array(rows, np.int64), with_payload, with_vector)
            return Page(shown, following, values)

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
        with_vector: bool = False,
        offset: int = 0,
        score_threshold: float | None = None,
    ) -> Any:
        """The k nearest points: Hits for a query (dim,), BatchHits for queries (q, dim).

        query: a vector, several, or the id of a point, which is then not among its own hits. recall: the share of the
        true k nearest to be found, 0.97 if nothing is said. filter: only points that pass are found; min(k, points that
        pass) always are. exact: compare every source vector. nprobe, rerank: lists to scan and candidates to rerank, by
        hand. offset: leave out so many of the nearest. score_threshold: only what scores better. k + offset at most
        10,000; fewer points give fewer hits. Raises DimensionError, FilterError, InputError, PointNotFoundError.
        """
        self._guard()
        asked = None if filter is None else parse_filter(filter)
        if isinstance(query, int | str) and not isinstance(query, bool):
            asked = but_not(asked, [query])
            with self._points.read() as points, self._blocks.read() as blocks:
                query = self._examples(self._snapshot(points, blocks), [query])[0]
        queries, single = self._queries(query)
        check_k(k)
        check_offset(offset)
        terms = (k, recall, nprobe, rerank)
        with self._blocks.read() as blocks, self._points.read() as points:
            found = None
            if single and asked is None and not exact and not offset:
                found = self._found_again(points, blocks, queries, terms)
            if found is None:
                found = self._found(self._snapshot(points, blocks), queries, single, asked, exact, offset, terms)
            if self._live is not None and asked is None and nprobe is None and not exact and self._index[2] is not None:
                self._live.offer(queries)
            if offset or score_threshold is not None:
                found = trimmed(found, offset, score_threshold, self.metric)
            if single:
                return self._hits(points, found, 0, with_payload, with_vector)
            return BatchHits([self._hits(points, found, i, with_payload, with_vector) for i in range(len(queries))], k)

    def _found_again(self, points: PointView, blocks: Any, query: np.ndarray, terms: Terms) -> Found | None:
        """The answer to a query like one before: same terms, nothing written since. None where it is not like that."""
        try:
            frame = self._frames.get(terms)
        except TypeError:  # no numbers: whoever makes a plan of them says so
            return None
        if frame is None or frame.points is not points.state or frame.blocks is not blocks.state:
            return None
        if self._upkeep is not None and self._upkeep.learned is not self._learned:
            return None
        return search_framed(frame, query, points.live)

    def _found(
        self, snapshot: Snapshot, queries: np.ndarray, single: bool, asked: Filter | None, exact: bool, offset: int,
        terms: Terms,
    ) -> Found:  # fmt: skip
        k, recall, nprobe, rerank = terms
        kept = min(check_k(k + offset), max(1, snapshot.points.n_live))
        if asked is not None:
            return self._selected(snapshot, queries, kept, asked, recall, exact, nprobe, rerank)[1]
        plan = self._plan(snapshot, kept, recall, exact, nprobe, rerank)
        if not single:
            return answered(snapshot, *search_batch(snapshot, queries, plan, snapshot.points.live, kept))
        if plan is not None and snapshot.index is not None and self.config.rerank == "int8" and not offset:
            if len(self._frames) > MOST_FRAMES:
                self._frames = {}
            self._frames[terms] = frame_of(snapshot, snapshot.index, plan)
        return search_query(snapshot, queries, plan, snapshot.points.live, kept)

    def explain(
        self,
        query: object,
        k: int = 10,
        *,
        recall: float | None = None,
        filter: object = None,
        exact: bool = False,
        nprobe: int | None = None,
        rerank: int | None = None,
    ) -> Explanation:
        """Search, and say what the search did."""
        self._guard()
        queries, single = self._queries(query)
        if not single:
            raise DimensionError(f"explain takes one query of ({self.dim},), not {len(queries)} queries")
        asked, trace = None if filter is None else parse_filter(filter), Trace()
        prepared = prepare(queries, self.dim, self.metric)
        with self._blocks.read() as blocks, self._points.read() as points:
            snapshot, filtered = self._snapshot(points, blocks), None
            kept = min(check_k(k), max(1, points.n_live))
            if asked is not None:
                selected, found = self._selected(snapshot, prepared, kept, asked, recall, exact, nprobe, rerank, trace)
                filtered, by_codes = selected.explained(), selected.ways[0].kind.startswith("lists")
            else:
                plan = self._plan(snapshot, kept, recall, exact, nprobe, rerank)
                found = answered(snapshot, *search(snapshot, prepared, plan, points.live, kept, trace))
                by_codes = plan is not None
            trace.mark("rest")
            hits = self._hits(points, found, 0, True, False)
            trace.mark("hits")
            return Explanation(
                kind="codes" if by_codes else "exact",
                lists=trace.lists,
                n_lists=snapshot.blocks.n_lists,
                codes=trace.codes,
                candidates=trace.candidates,
                reranked=trace.reranked,
                fresh=snapshot.n_rows - (snapshot.fresh_from if by_codes else 0),
                recall=None if not by_codes or nprobe is not None else recall or DEFAULT_RECALL,
                groups=trace.groups,
                expected=trace.expected if asked is None else None,
                microseconds=trace.microseconds,
                hits=hits,
                filter=filtered,
            )

    def measure_recall(
        self,
        k: int = 10,
        queries: object = None,
        *,
        recall: float | None = None,
        nprobe: int | None = None,
        rerank: int | None = None,
        sample: int = 200,
        seed: int = 0,
    ) -> RecallReport:
        """Recall@k now, with its 95 % interval and what lost the rest: of `sample` stored rows (each without itself),
        of the queries given, or of queries="logged", those asked lately of this process (a few hundred are kept).

        The report names which. Raises InputError where there is nothing to measure on or against.
        """
        self._guard()
        check_k(k)
        _check_at_least_one("sample", sample)
        with self._blocks.read() as blocks, self._points.read() as points:
            snapshot = self._snapshot(points, blocks)
            if self.config.source is None and snapshot.fresh_from > 0:
                raise InputError("recall is measured against source vectors, which source=None does not keep")
            if points.n_live == 0:
                raise InputError(f"collection {self.name!r} is empty: there is nothing to measure recall on")
            if queries is None:
                plan = self._plan(snapshot, k + 1, recall, False, nprobe, rerank)
                return measure_rows(snapshot, plan, k, sample, seed)
            plan = self._plan(snapshot, k, recall, False, nprobe, rerank)
            logged = isinstance(queries, str)
            prepared = prepare(self._logged(queries) if logged else queries, self.dim, self.metric)
            return measure_queries(snapshot, plan, k, prepared, "logged queries" if logged else "given queries")

    def lists_of(self, vectors: object) -> np.ndarray | None:
        """(n,) int64: the list of the centroid nearest to each of the vectors (n, dim); None before there are lists."""
        self._guard()
        prepared = prepare(vectors, self.dim, self.metric)
        with self._blocks.read() as blocks, self._points.read() as points:
            index = self._snapshot(points, blocks).index
            if index is None:
                return None
            return assign(index.router.to_index_space(prepared), index.router.centroids).astype(np.int64)

    # -- upkeep

    def train(self, progress: Progress | None = None) -> None:
        """Learn a new generation of centroids and codebook from the points there are, and index all of them. Waits."""
        self._writer().run(everything=True, retrain=True, progress=progress)

    def optimize(self, progress: Progress | None = None) -> None:
        """Wait until everything is trained and indexed."""
        self._writer().run(everything=True, progress=progress)

    def compact(self, progress: Progress | None = None, *, drop_previous: bool = False) -> None:
        """Give back to the disk what deleted and replaced points held: index everything, drop what is dead, and write
        both files anew without free pages. Waits; reads go on, and other processes follow to the new files by
        themselves.

        drop_previous: also the generation before, which is kept for a way back. Needs room for a second copy on the
        disk meanwhile; where there is none, DiskFullError, and everything is as it was.
        """
        self._writer().compact(progress, drop_previous)

    def rollback(self) -> int:
        """Go back to the generation that was searched before the last training, in one commit; returns its number.

        It is kept until the training after. Raises InputError where there is none.
        """
        return self._writer().roll_back()

    def info(self) -> dict[str, Any]:
        """Counts, configuration, state and bytes."""
        self._guard()
        with self._blocks.read() as blocks, self._points.read() as points:
            facts = report(self._snapshot(points, blocks), self._points, self._blocks)
            indexes = [{"key": index.path.text, "kind": index.kind} for index in self._selector.definitions(points)]
        upkeep = self._upkeep
        working = {"stage": upkeep.stage if upkeep else None, "error": upkeep.error if upkeep else None}
        kept = upkeep.queries if upkeep else None
        learned = upkeep is not None and upkeep.learned is not None
        live = {"live_queries": 0 if kept is None else len(kept), "learned_from_queries": learned}
        return {
            "name": self.name,
            "metadata": self.metadata,
            **facts,
            "payload_indexes": indexes,
            "upkeep": {**working, **live},
        }

    def verify(self) -> list[str]:
        """Read every byte against its checksum and every reference against its target; problems, none if sound.

        A damaged page can end the process that maps it: `pqdb.check` does the same in one of its own.
        """
        self._guard()
        found = [f"points: {problem}" for problem in self._points.verify()]
        found += [f"index: {problem}" for problem in self._blocks.verify()]
        if not found:
            with self._blocks.read() as blocks, self._points.read() as points:
                found = [f"index: {problem}" for problem in disagreements(self._snapshot(points, blocks))]
        return found

    # -- how

    def _logged(self, which: object) -> np.ndarray:
        """(n, dim) float32 queries asked lately."""
        if which != "logged":
            raise InputError(f'queries are vectors or "logged", not {which!r}')
        if self._live is None or not len(self._live):
            raise InputError(f"no query of {self.name!r} has been kept: there is nothing to measure recall on")
        return self._live.queries()

    def _writer(self) -> Upkeep:
        self._guard()
        if self._upkeep is None:
            raise ReadOnlyError(f"collection {self.name!r} was opened read-only")
        return self._upkeep

    def _new_points(
        self, ids: Ids, vectors: object, payloads: Sequence[Payload | None] | None
    ) -> tuple[list[Any], np.ndarray, list[bytes | None] | None]:
        """Points to be written, checked: ids, source rows (n, row_bytes) uint8, payloads."""
        names = _as_list(ids)
        prepared = prepare(vectors, self.dim, self.metric) if names else np.zeros((0, self.dim), np.float32)
        if len(names) != len(prepared):
            raise InputError(f"{len(names)} ids for {len(prepared)} vectors")
        if payloads is not None and len(payloads) != len(names):
            raise InputError(f"{len(payloads)} payloads for {len(names)} points")
        raw = None if payloads is None else [_payload_bytes(payload) for payload in payloads]
        return names, encode_source(prepared, self.config.kept_source), raw

    def _change_payloads(
        self, verb: str, ids: Ids | None, filter: object, change: Callable[[Payload | None], Payload | None]
    ) -> int:
        """Put what `change` makes of each payload in its place, in one commit."""
        self._writer()
        names = _ids_or_filter(verb, ids, filter)

        def changed(held: bytes | None) -> bytes | None:
            return _payload_bytes(change(None if held is None else json.loads(held)))

        if names is None:
            return change_where(self._points, self._selector, parse_filter(filter), changed)
        return self._points.commit(lambda batch: batch.change_payloads(names, changed))

    def _selection(self, points: PointView, filter: object) -> Selection:
        return self._selector.select(points, parse_filter(filter))

    def _page(
        self, points: PointView, limit: int, offset: Id | None, filter: object, order_by: object
    ) -> tuple[list[int], Id | None, list[Any] | None]:
        """The rows of a page, the id that would follow, and what they are ordered by."""
        if order_by is not None:
            order = parse_order(order_by)
            if offset is not None:
                raise InputError("a scroll in the order of a key has no offset: use start_from")
            selection = self._selection(points, {} if filter is None else filter)
            found = in_order(points, selection, order, self._selector.definitions(points), limit)
            return [row for _, row in found], None, [value for value, _ in found]
        if filter is not None:
            return *page(points, self._selection(points, filter), offset, limit), None
        scanned = points.scan_ids(offset, min(limit, points.n_live) + 1)
        return [row for _, row in scanned[:limit]], scanned[limit][0] if len(scanned) > limit else None, None

    def _selected(
        self,
        snapshot: Snapshot,
        queries: np.ndarray,
        k: int,
        filter: Filter,
        recall: float | None,
        exact: bool,
        nprobe: int | None,
        rerank: int | None,
        trace: Trace | None = None,
    ) -> tuple[Selected, Found]:
        """The search among the points that pass, and the answers."""
        plan = self._plan(snapshot, k, recall, exact, nprobe, rerank)
        selected = Selected(snapshot, self._selector.select(snapshot.points, filter), self._listed)
        if trace:
            trace.mark("filter")
        effort = Effort(recall, plan if nprobe is not None else None, exact)
        most = max(1, min(k, len(selected.selection)))
        if len(queries) > 1:
            return selected, selected.search_batch(queries, most, effort)
        return selected, selected.search(queries, most, effort, trace)

    def _queries(self, query: object) -> tuple[np.ndarray, bool]:
        """Queries (q, dim) float32, and whether it was a single one, which is prepared on its way; several are here."""
        if type(query) is np.ndarray and query.dtype == np.float32 and query.shape == (self.config.dim,):
            return np.ascontiguousarray(query)[None], True
        array = query if isinstance(query, np.ndarray) else np.asarray(query, dtype=object if _ragged(query) else None)
        if array.ndim == 0 or array.size == 0:
            raise DimensionError(f"expected a query of {self.dim} dimensions, not an array of shape {array.shape}")
        return prepare(array, self.dim, self.metric), array.ndim == 1

    def _snapshot(self, points: PointView, blocks: Any) -> Snapshot:
        generation, version, index = self._index
        learned = self._upkeep.learned if self._upkeep else None
        if generation != blocks.generation or version != blocks.objects_version or learned is not self._learned:
            index = Index.load(blocks) if blocks.generation else None
            if index and learned and learned.fits(blocks.generation, index.calibration):
                calibration = learned.on(index.calibration, index.router.n_lists)
                index = replace(index, calibration=calibration, plans={}, frames={})
            self._learned = learned
            self._index = (blocks.generation, blocks.objects_version, index)
        return Snapshot(
            self.config, points, blocks, index, self._points.rows_per_run, self._points.row_bytes, points.n_rows
        )

    def _plan(
        self, snapshot: Snapshot, k: int, recall: float | None, exact: bool, nprobe: int | None, rerank: int | None
    ) -> Plan | None:
        """The effort to spend; None to compare everything exactly."""
        if not exact and snapshot.index is not None:
            known = snapshot.index.plans.get((k, recall, nprobe, rerank))
            if known is not None:  # these numbers were checked when it was made
                return known
        _check_effort(k, recall, nprobe, rerank)
        if exact and self.config.source is None and snapshot.fresh_from > 0:
            raise InputError("exact=True compares source vectors, which source=None does not keep")
        if exact or snapshot.index is None:
            return None
        if rerank is not None and rerank > snapshot.n_rows:
            rerank = max(k, snapshot.n_rows)
        return snapshot.index.plan(k, recall, nprobe, rerank)

    def _hits(
        self, points: PointView, found: Found, i: int, with_payload: bool, with_vector: bool,
        metric: Metric | None = None,
    ) -> Hits:  # fmt: skip
        """The answer to query i."""
        answers, every = found.answers, found.every
        n = answers.shape[1]
        if found.filled < answers.size:
            n = int((answers["value"][i] > -np.inf).sum())
        ids, payloads, vectors = None, None, None
        if every >> KIND_SHIFT & KIND_MASK:  # some are no integers
            ids = points.ids_of(answers["row"][i, :n])
        if with_payload and every & PAYLOAD_FLAG:
            there = zip(answers["row"][i, :n].tolist(), answers["tail"][i, :n].tolist(), strict=True)
            payloads = [points.payload_of(row) if tail & PAYLOAD_FLAG else None for row, tail in there]
        if with_vector:
            vectors = self._vectors_of(points, answers["row"][i, :n])
        return Hits(answers, i, n, metric or self.config.metric, ids, payloads, vectors)

    def _points_of(self, snapshot: Snapshot, rows: np.ndarray, with_payload: bool, with_vector: bool) -> list[Point]:
        points = snapshot.points
        payloads = points.payloads_of(rows) if with_payload else [None] * len(rows)
        vectors: Iterable[np.ndarray | None] = self._vectors_of(points, rows) if with_vector else [None] * len(rows)
        return [
            Point(name, None if raw is None else json.loads(raw), vector, int(version))
            for name, raw, vector, version in zip(
                points.ids_of(rows), payloads, vectors, points.versions_of(rows), strict=True
            )
        ]

    def _vectors_of(self, points: PointView, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 from the source, or, where it is not kept, nothing better than refusing."""
        if self.config.source is None and len(rows) and int(rows.min()) < points.forgotten_rows:
            raise InputError("with_vector=True needs source vectors, which source=None does not keep")
        return decode_source(points.source_of(rows), self.dim, self.config.kept_source)


def _as_list(ids: Sequence[Id] | np.ndarray | Id) -> list[Any]:
    if isinstance(ids, np.ndarray):
        return list(np.atleast_1d(ids).tolist())
    if isinstance(ids, str | int | np.integer):
        return [ids]
    try:
        return list(ids)
    except TypeError:
        raise InputError(f"ids must be a sequence of integers and strings, not {type(ids).__name__}") from None


def _ids_or_filter(verb: str, ids: Ids | None, filter: object) -> list[Any] | None:
    """The ids, None where there is a filter instead. Raises InputError for both and for neither."""
    if (ids is None) == (filter is None):
        raise InputError(f"{verb} needs ids or a filter{'' if ids is None else ', not both'}")
    return None if ids is None else _as_list(ids)


def _ragged(query: object) -> bool:
    """Whether rows differ in length: numpy would refuse with a sentence of its own."""
    if not isinstance(query, Sequence) or not query or not isinstance(query[0], Sequence | np.ndarray):
        return False
    return len({len(row) for row in query if isinstance(row, Sequence | np.ndarray)}) > 1


def _payload_bytes(payload: Payload | None) -> bytes | None:
    """JSON of a payload. Raises PayloadError for anything that is not a JSON object, or too long."""
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise PayloadError(f"a payload is a JSON object, not {type(payload).__name__}")
    try:
        raw = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise PayloadError(f"this payload cannot be stored as JSON: {problem}") from None
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise PayloadError(f"a payload has at most {MAX_PAYLOAD_BYTES:,} bytes of JSON, not {len(raw):,}")
    return raw


def _check_at_least_one(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise InputError(f"{name} must be a whole number, not {number!r}")
    if number < 1:
        raise InputError(f"{name} must be at least 1, not {number}")


def _check_effort(k: int, recall: object, nprobe: object, rerank: object) -> None:
    if recall is not None:
        _check_recall(recall)
    for name, number in (("nprobe", nprobe), ("rerank", rerank)):
        if number is not None:
            _check_at_least_one(name, number)
    if rerank is not None and int(rerank) < k:  # type: ignore[call-overload]  # checked to be a number
        raise InputError(f"rerank={rerank} is fewer than k={k}")
    if rerank is not None and nprobe is None:
        raise InputError("rerank is set by hand together with nprobe; without it, ask for a recall")


def _check_recall(recall: object) -> None:
    if not (isinstance(recall, int | float | np.floating) and 0 < recall < 1):
        raise InputError(f"recall must lie between 0 and 1, not {recall!r}; exact=True gives the exact answer")
