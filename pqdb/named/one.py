"""One of several vectors: what it is searched by. Only NamedCollection has these."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pqdb.collection import Collection
from pqdb.config import SparseConfig, VectorConfig
from pqdb.errors import InputError, PointNotFoundError
from pqdb.hits import BatchHits, Group, Hits, Id
from pqdb.named.vectors import Vectors
from pqdb.query.conditions import Filter, but_not
from pqdb.query.parse import parse_filter
from pqdb.query.path import parse_path
from pqdb.search.found import Found
from pqdb.search.sparse import SparseSearch
from pqdb.search.trim import trimmed
from pqdb.sparse import SparseVector
from pqdb.store.blocks import BlockStore
from pqdb.store.points import PointStore
from pqdb.store.view import PointView
from pqdb.upkeep.tended import Tended
from pqdb.upkeep.worker import Upkeep
from pqdb.verbs.base import Guard, Metadata, Verbs
from pqdb.verbs.given import Wanted, check_depth, check_effort, check_k, check_offset, is_id

Queries = Sequence[SparseVector]


class OfSeveral(Verbs):
    """What is the same for each of them, whatever its kind."""

    _vector: str  # its name
    _all: Vectors

    def _shown(self, points: PointView, rows: np.ndarray, wanted: Wanted) -> Sequence[Any]:
        return self._all.shown(points, rows.astype(np.int64), self._names(wanted))

    def _row_of_example(self, points: PointView, example: Id) -> int:
        row = super()._row_of_example(points, example)
        if not points.live[row >> 3] >> (row & 7) & 1:
            raise PointNotFoundError(f"point {example!r} of collection {self.name!r} has no vector {self._vector!r}")
        return row


class OneVector(OfSeveral, Collection):
    """One with an index of its own."""

    def __init__(
        self,
        vector: str,
        config: VectorConfig,
        vectors: Vectors,
        name: str,
        metadata: Metadata,
        stores: tuple[PointStore, BlockStore],
        upkeep: tuple[Upkeep, Tended] | None,
        guard: Guard,
    ) -> None:
        super().__init__(name, config, metadata, stores, upkeep, guard, vectors.slots)
        self._vector = vector
        self._all = vectors
        self.slot = vectors.slots[vector]

    def facts(self, resources: bool) -> dict[str, Any]:
        """What `info()` tells of the vector."""
        return self._facts(resources)

    def index_problems(self) -> list[str]:
        """What in its index is not what was written."""
        return self._index_problems()

    def disagreements(self) -> list[str]:
        """What index and points do not agree on."""
        return self._disagreements()

    def _guard_vector(self, using: str | None) -> None:  # noqa: ARG002 - its collection has found it by its name
        self._guard()


class OneSparse(OfSeveral):
    """A sparse one: compared exactly, by inner product."""

    def __init__(
        self,
        vector: str,
        config: SparseConfig,
        vectors: Vectors,
        name: str,
        metadata: Metadata,
        points: PointStore,
        guard: Guard,
    ) -> None:
        super().__init__(name, metadata, points, None, guard, vectors.slots)
        self._vector = vector
        self._all = vectors
        self._searched = SparseSearch(config.idf)

    def search(
        self,
        query: object,
        k: int = 10,
        *,
        recall: float | None = None,
        filter: object = None,
        exact: bool = False,  # noqa: ARG002 - it always is
        nprobe: int | None = None,
        rerank: int | None = None,
        with_payload: bool = True,
        with_vector: Wanted = False,
        offset: int = 0,
        score_threshold: float | None = None,
    ) -> Any:
        """As Collection's, of points that name a dimension of the query. It is exact whatever recall is asked for."""
        self._guard()
        depth = check_depth(check_k(k), check_offset(offset))
        check_effort(k, recall, nprobe, rerank)
        if nprobe is not None:
            raise InputError(f"vector {self._vector!r} is sparse and has no lists, so nprobe= has no meaning for it")
        asked = None if filter is None else parse_filter(filter)
        with self._points.read() as points:
            queries, single, asked = self._queries(points, query, asked)
            found = trimmed(self._found(points, queries, depth, asked), offset, score_threshold, "dot")
            hits = [
                self._hits(points, found, i, with_payload, with_vector, "dot") for i in range(len(queries))
            ]
        return hits[0] if single else BatchHits(hits, k)

    def search_groups(
        self,
        query: object,
        group_by: str,
        limit: int = 10,
        group_size: int = 3,
        *,
        recall: float | None = None,
        filter: object = None,
        exact: bool = False,  # noqa: ARG002
        with_payload: bool = True,
        with_vector: Wanted = False,
        score_threshold: float | None = None,
    ) -> list[Group]:
        """As Collection's."""
        self._guard()
        how = parse_path(group_by), check_k(limit, "limit"), check_k(group_size, "group_size")
        check_effort(1, recall, None, None)
        asked = None if filter is None else parse_filter(filter)
        with self._points.read() as points:
            queries, single, asked = self._queries(points, query, asked)
            if not single:
                raise InputError(f"groups are those of one query, not of {len(queries)}")

            def find(k: int, among: Filter | None) -> Hits:
                found = trimmed(self._found(points, queries, k, among), 0, score_threshold, "dot")
                return self._hits(points, found, 0, True, with_vector, "dot")

            return self._grouped(points, how, asked, find, with_payload)

    # -- how

    def _found(self, points: PointView, queries: Queries, k: int, asked: Filter | None) -> Found:
        if asked is None:
            return self._searched.find(points, queries, points.findable, min(k, max(1, points.n_live)))
        selection = self._selector.select(points, asked)
        return self._searched.find(points, queries, selection.allowed, min(k, max(1, len(selection))))

    def _queries(
        self, points: PointView, query: object, asked: Filter | None
    ) -> tuple[Queries, bool, Filter | None]:
        """The queries, whether it was a single one, and what is asked of hits: not to be the point searched by."""
        if is_id(query):
            stored = points.sparse.vector(self._row_of_example(points, query))
            return [SparseVector.from_bytes(stored)], True, but_not(asked, [query])
        several = isinstance(query, list | tuple) and all(isinstance(each, SparseVector | Mapping) for each in query)
        if several and query:
            return [SparseVector.of(each) for each in query], False, asked  # type: ignore[attr-defined]  # a sequence
        return [SparseVector.of(query)], True, asked
