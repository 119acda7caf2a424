"""One collection: its verbs, each one commit or one snapshot."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pqdb.config import DEFAULT_RECALL, MAX_K, MAX_PAYLOAD_BYTES, CollectionConfig
from pqdb.errors import DimensionError, InputError, NotYetError, PayloadError, ReadOnlyError
from pqdb.hits import BatchHits, Explanation, Hits, Id, Page, Payload, Point, RecallReport
from pqdb.kernels.gather import gather_records
from pqdb.metric import Metric, prepare, scores
from pqdb.quantization.source import decode_source, encode_source
from pqdb.search.batch import search_batch
from pqdb.search.index import Index
from pqdb.search.measure import measure_queries, measure_rows
from pqdb.search.pipeline import Trace, search, search_query
from pqdb.search.plan import Plan
from pqdb.search.snapshot import Snapshot
from pqdb.store.batch import PointBatch
from pqdb.store.blocks import BlockStore
from pqdb.store.layout import KIND_SHIFT, META_BYTES, META_ROWS, PAYLOAD_FLAG, VERSION_MASK
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.agree import disagreements
from pqdb.upkeep.report import report
from pqdb.upkeep.train import Progress
from pqdb.upkeep.worker import Learned, Upkeep

Guard = Callable[[], None]

KIND_MASK = 3  # of a row record's last word: an id that is no integer
VERSION_BITS = np.uint64(VERSION_MASK)


class Collection:
    """Points with vectors of one dimension and metric. Made by Database; safe to share between threads."""

    def __init__(
        self,
        name: str,
        config: CollectionConfig,
        metadata: dict[str, Any] | None,
        stores: tuple[PointStore, BlockStore],
        upkeep: Upkeep | None,
        guard: Guard,
    ) -> None:
        self.name = name
        self.config = config
        self.metadata = metadata
        self._points, self._blocks = stores
        self._upkeep = upkeep  # None: opened read-only
        self._guard = guard  # raises if this collection is closed, or was dropped by anyone
        self._learned: Learned | None = None
        self._index: tuple[int, int, Index | None] = (0, 0, None)  # swapped whole: other threads read it meanwhile

    @property
    def dim(self) -> int:
        """Dimensions of every vector."""
        return self.config.dim

    @property
    def metric(self) -> Metric:
        """cosine, dot or l2."""
        return self.config.metric

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
        names = _as_list(ids)
        if not names:
            raise InputError("an upsert needs at least one point")
        prepared = prepare(vectors, self.dim, self.metric)
        if len(names) != len(prepared):
            raise InputError(f"{len(names)} ids for {len(prepared)} vectors")
        if payloads is not None and len(payloads) != len(names):
            raise InputError(f"{len(payloads)} payloads for {len(names)} points")
        raw = None if payloads is None else [_payload_bytes(payload) for payload in payloads]
        source = encode_source(prepared, self.config.kept_source)

        def write(batch: PointBatch) -> int:
            batch.upsert(names, source, raw)
            return batch.seq

        sequence = self._points.commit(write)
        upkeep.poke()
        return sequence

    def delete(self, ids: Sequence[Id] | np.ndarray | Id | None = None, *, filter: object = None) -> int:
        """Delete points by id; returns how many there were. Absent ids are no error."""
        upkeep = self._writer()
        _refuse_filter(filter)
        if ids is None:
            raise InputError("delete needs ids")
        names = _as_list(ids)
        deleted = self._points.commit(lambda batch: batch.delete(names))
        upkeep.poke()
        return deleted

    def set_payload(self, payload: Payload, ids: Sequence[Id] | np.ndarray | Id) -> int:
        """Merge keys into the payloads of points; returns how many points there were."""
        self._writer()
        _payload_bytes(payload)
        names = _as_list(ids)

        def write(batch: PointBatch) -> int:
            found = 0
            for name in names:
                held = batch.payload_of(name)
                raw = _payload_bytes({**(json.loads(held) if held else {}), **payload})
                found += batch.put_payload(name, raw)
            return found

        return self._points.commit(write)

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
        """How many points there are."""
        self._guard()
        _refuse_filter(filter)
        with self._points.read() as points:
            return points.n_live

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
    ) -> Page:
        """Points in id order (integers, then UUIDs, then other strings), from the id `offset` on."""
        self._guard()
        _refuse_filter(filter)
        _check_at_least_one("limit", limit)
        with self._blocks.read() as blocks, self._points.read() as points:
            found = points.scan_ids(offset, min(limit, points.n_live) + 1)
            rows = np.array([row for _, row in found[:limit]], np.int64)
            following = found[limit][0] if len(found) > limit else None
            return Page(self._points_of(self._snapshot(points, blocks), rows, with_payload, with_vector), following)

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
    ) -> Any:
        """The k nearest points: Hits for a query (dim,), BatchHits for queries (q, dim).

        recall: the share of the true k nearest to be found, 0.97 if nothing is said. exact: compare every source
        vector. nprobe, rerank: lists to scan and candidates to rerank, by hand. k at most 10,000; fewer points give
        fewer hits. Raises DimensionError, InputError.
        """
        self._guard()
        _refuse_filter(filter)
        queries, single = self._queries(query)
        with self._blocks.read() as blocks, self._points.read() as points:
            snapshot = self._snapshot(points, blocks)
            kept = min(_check_k(k), max(1, points.n_live))
            plan = self._plan(snapshot, kept, recall, exact, nprobe, rerank)
            run = search_query if single else search_batch
            values, rows = run(snapshot, queries, plan, points.live, kept)
            if plan is not None and nprobe is None and self._upkeep and self._upkeep.queries is not None:
                self._upkeep.queries.offer(queries)
            hits = [
                self._hits(snapshot, *_found(value, row), with_payload, with_vector)
                for value, row in zip(values, rows, strict=True)
            ]
        return hits[0] if single else BatchHits(hits, k)

    def explain(
        self,
        query: object,
        k: int = 10,
        *,
        recall: float | None = None,
        exact: bool = False,
        nprobe: int | None = None,
        rerank: int | None = None,
    ) -> Explanation:
        """Search, and say what the search did."""
        self._guard()
        queries, single = self._queries(query)
        if not single:
            raise DimensionError(f"explain takes one query of ({self.dim},), not {len(queries)} queries")
        prepared = prepare(queries, self.dim, self.metric)
        with self._blocks.read() as blocks, self._points.read() as points:
            snapshot = self._snapshot(points, blocks)
            kept = min(_check_k(k), max(1, points.n_live))
            plan = self._plan(snapshot, kept, recall, exact, nprobe, rerank)
            trace = Trace()
            values, rows = search(snapshot, prepared, plan, points.live, kept, trace)
            trace.mark("rest")
            hits = self._hits(snapshot, *_found(values[0], rows[0]), True, False)
            trace.mark("hits")
            by_codes = plan is not None
            return Explanation(
                kind="codes" if by_codes else "exact",
                lists=trace.lists,
                n_lists=snapshot.blocks.n_lists,
                codes=trace.codes,
                candidates=trace.candidates,
                reranked=trace.reranked,
                fresh=snapshot.n_rows - (snapshot.fresh_from if by_codes else 0),
                recall=None if not by_codes or nprobe is not None else recall or DEFAULT_RECALL,
                microseconds=trace.microseconds,
                hits=hits,
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
        """Recall@k now, with its 95 % interval: of `sample` stored rows (each without itself), or of the queries
        given.
        """
        self._guard()
        _check_k(k)
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
            return measure_queries(snapshot, plan, k, prepare(queries, self.dim, self.metric))

    # -- upkeep

    def train(self, progress: Progress | None = None) -> None:
        """Learn a new generation of centroids and codebook from the points there are, and index all of them. Waits."""
        self._writer().run(everything=True, retrain=True, progress=progress)

    def optimize(self, progress: Progress | None = None) -> None:
        """Wait until everything is trained and indexed."""
        self._writer().run(everything=True, progress=progress)

    def info(self) -> dict[str, Any]:
        """Counts, configuration, state and bytes."""
        self._guard()
        with self._blocks.read() as blocks, self._points.read() as points:
            facts = report(self._snapshot(points, blocks), self._points, self._blocks)
        upkeep = self._upkeep
        working = {"stage": upkeep.stage if upkeep else None, "error": upkeep.error if upkeep else None}
        kept = upkeep.queries if upkeep else None
        learned = upkeep is not None and upkeep.learned is not None
        live = {"live_queries": 0 if kept is None else len(kept), "learned_from_queries": learned}
        return {"name": self.name, "metadata": self.metadata, **facts, "upkeep": {**working, **live}}

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

    def _writer(self) -> Upkeep:
        self._guard()
        if self._upkeep is None:
            raise ReadOnlyError(f"collection {self.name!r} was opened read-only")
        return self._upkeep

    def _queries(self, query: object) -> tuple[np.ndarray, bool]:
        """Queries (q, dim) float32, and whether it was a single one, which is prepared on its way; several are here."""
        if type(query) is np.ndarray and query.dtype == np.float32 and query.shape == (self.config.dim,):
            return np.ascontiguousarray(query).reshape(1, -1), True
        array = query if isinstance(query, np.ndarray) else np.asarray(query, dtype=object if _ragged(query) else None)
        if array.ndim == 0 or array.size == 0:
            raise DimensionError(f"expected a query of {self.dim} dimensions, not an array of shape {array.shape}")
        return prepare(array, self.dim, self.metric), array.ndim == 1

    def _snapshot(self, points: PointView, blocks: Any) -> Snapshot:
        generation, version, index = self._index
        learned = self._upkeep.learned if self._upkeep else None
        if generation != blocks.generation or version != blocks.objects_version or learned is not self._learned:
            index = Index.load(blocks) if blocks.generation else None
            if index and learned and learned.generation == blocks.generation:
                index = replace(index, calibration=learned.calibration, plans={})
            self._learned = learned
            self._index = (blocks.generation, blocks.objects_version, index)
        return Snapshot(
            self.config, points, blocks, index, self._points.rows_per_run, self._points.row_bytes, points.n_rows
        )

    def _plan(
        self, snapshot: Snapshot, k: int, recall: float | None, exact: bool, nprobe: int | None, rerank: int | None
    ) -> Plan | None:
        """The effort to spend; None to compare everything exactly."""
        if recall is not None:
            _check_recall(recall)
        for name, number in (("nprobe", nprobe), ("rerank", rerank)):
            if number is not None:
                _check_at_least_one(name, number)
        if rerank is not None and rerank < k:
            raise InputError(f"rerank={rerank} is fewer than k={k}")
        if rerank is not None and nprobe is None:
            raise InputError("rerank is set by hand together with nprobe; without it, ask for a recall")
        if exact and self.config.source is None and snapshot.fresh_from > 0:
            raise InputError("exact=True compares source vectors, which source=None does not keep")
        if exact or snapshot.index is None:
            return None
        if rerank is not None and rerank > snapshot.n_rows:
            rerank = max(k, snapshot.n_rows)
        return snapshot.index.plan(k, recall or DEFAULT_RECALL, nprobe, rerank)

    def _hits(
        self, snapshot: Snapshot, values: np.ndarray, rows: np.ndarray, with_payload: bool, with_vector: bool
    ) -> Hits:
        points = snapshot.points
        numbers, tails = np.empty(len(rows), np.uint64), np.empty(len(rows), np.uint64)
        every = gather_records(points.meta, META_ROWS, META_BYTES, META_BYTES - 8, rows, numbers, tails)
        plain = not every >> KIND_SHIFT & KIND_MASK  # integers all of them
        ids: list[Id] = list(numbers.tolist()) if plain else points.ids_of(rows)
        payloads: list[bytes | None] | None = None
        if with_payload and every & PAYLOAD_FLAG:
            flags = (tails & np.uint64(PAYLOAD_FLAG)).tolist()
            payloads = [points.payload_of(row) if has else None for row, has in zip(rows.tolist(), flags, strict=True)]
        vectors = self._vectors_of(snapshot, rows) if with_vector else None
        return Hits(ids, scores(values, self.metric), tails & VERSION_BITS, payloads, vectors)

    def _points_of(self, snapshot: Snapshot, rows: np.ndarray, with_payload: bool, with_vector: bool) -> list[Point]:
        points = snapshot.points
        payloads = points.payloads_of(rows) if with_payload else [None] * len(rows)
        vectors: Iterable[np.ndarray | None] = self._vectors_of(snapshot, rows) if with_vector else [None] * len(rows)
        return [
            Point(name, None if raw is None else json.loads(raw), vector, int(version))
            for name, raw, vector, version in zip(
                points.ids_of(rows), payloads, vectors, points.versions_of(rows), strict=True
            )
        ]

    def _vectors_of(self, snapshot: Snapshot, rows: np.ndarray) -> np.ndarray:
        """(n, dim) float32 from the source, or, where it is not kept, nothing better than refusing."""
        if self.config.source is None and len(rows) and int(rows.min()) < snapshot.points.forgotten_rows:
            raise InputError("with_vector=True needs source vectors, which source=None does not keep")
        return decode_source(snapshot.points.source_of(rows), self.dim, self.config.kept_source)


def _as_list(ids: Sequence[Id] | np.ndarray | Id) -> list[Any]:
    if isinstance(ids, np.ndarray):
        return list(np.atleast_1d(ids).tolist())
    if isinstance(ids, str | int | np.integer):
        return [ids]
    try:
        return list(ids)
    except TypeError:
        raise InputError(f"ids must be a sequence of integers and strings, not {type(ids).__name__}") from None


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


def _found(values: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the empty places at the end, where fewer than k rows were found."""
    if values[-1] > -np.inf:
        return values, rows
    n = int((values > -np.inf).sum())
    return values[:n], rows[:n]


def _check_k(k: object) -> int:
    if type(k) is int and 1 <= k <= MAX_K:
        return k
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MAX_K:
        raise InputError(f"k must be a whole number from 1 to {MAX_K:,}, not {k!r}")
    return int(k)


def _check_at_least_one(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise InputError(f"{name} must be a whole number, not {number!r}")
    if number < 1:
        raise InputError(f"{name} must be at least 1, not {number}")


def _check_recall(recall: object) -> None:
    if type(recall) is float and 0 < recall < 1:
        return
    if not (isinstance(recall, int | float | np.floating) and 0 < recall < 1):
        raise InputError(f"recall must lie between 0 and 1, not {recall!r}; exact=True gives the exact answer")


def _refuse_filter(filter: object) -> None:
    if filter is not None:
        raise NotYetError("filters are not there yet in this version of pqdb")
