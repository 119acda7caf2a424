"""What a search does and how well: explained, and measured."""

import numpy as np

from pqdb.config import DEFAULT_RECALL
from pqdb.errors import DimensionError, InputError
from pqdb.hits import Explanation, RecallReport
from pqdb.metric import prepare
from pqdb.partition.assign import assign
from pqdb.query.parse import parse_filter
from pqdb.search.found import answered
from pqdb.search.measure import measure_queries, measure_rows
from pqdb.search.pipeline import search
from pqdb.search.trace import Trace
from pqdb.store.moment import Moment
from pqdb.verbs.given import check_at_least_one, check_effort, check_k
from pqdb.verbs.searching import Searching


class Measuring(Searching):
    """Searches looked at from outside."""

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
        using: str | None = None,
    ) -> Explanation:
        """Search, and say what the search did."""
        self._guard_vector(using)
        queries, single = self._queries(query)
        if not single:
            raise DimensionError(f"explain takes one query of ({self.dim},), not {len(queries)} queries")
        asked, trace = None if filter is None else parse_filter(filter), Trace()
        prepared = prepare(queries, self.dim, self.metric)
        with Moment(self._blocks, self._points) as (blocks, points):
            snapshot, filtered = self._snapshot(points, blocks), None
            kept = min(check_k(k), max(1, points.n_live))
            terms = kept, recall, nprobe, rerank
            trace.mark("snapshot")
            if asked is not None:
                _, found = self._selected(snapshot, prepared, terms, asked, exact, trace)
                filtered, by_codes = trace.filter, trace.filter is not None and trace.filter.way == "lists"
            else:
                plan = self._plan(snapshot, terms, exact)
                found = answered(snapshot.points, *search(snapshot, prepared, plan, points.findable, kept, trace))
                by_codes = plan is not None
            trace.mark("rest")
            hits = self._hits(points, found, 0, True, False, self.config.metric)
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
        using: str | None = None,
    ) -> RecallReport:
        """Recall@k now, with its 95 % interval and what lost the rest: of `sample` stored rows (each without itself),
        of the queries given, or of queries="logged", those asked lately of this process (a few hundred are kept).

        The report names which. Raises InputError where there is nothing to measure on or against.
        """
        self._guard_vector(using)
        check_k(k)
        check_at_least_one("sample", sample)
        with Moment(self._blocks, self._points) as (blocks, points):
            snapshot = self._snapshot(points, blocks)
            if self.config.source is None and snapshot.fresh_from > 0:
                raise InputError("recall is measured against source vectors, which source=None does not keep")
            if points.n_live == 0:
                raise InputError(f"collection {self.name!r} is empty: there is nothing to measure recall on")
            if queries is None:
                check_effort(k, recall, nprobe, rerank)
                depth = None if rerank is None else max(rerank, k + 1)  # a row is searched with itself among its own
                plan = self._plan(snapshot, (k + 1, recall, nprobe, depth), False)
                return measure_rows(snapshot, plan, k, sample, seed)
            plan = self._plan(snapshot, (k, recall, nprobe, rerank), False)
            logged = isinstance(queries, str)
            prepared = prepare(self._logged(queries) if logged else queries, self.dim, self.metric)
            if len(prepared) == 0:
                raise InputError("there are no queries to measure recall on")
            return measure_queries(snapshot, plan, k, prepared, "logged queries" if logged else "given queries")

    def lists_of(self, vectors: object, *, using: str | None = None) -> np.ndarray | None:
        """(n,) int64: the list of the centroid nearest to each of the vectors (n, dim); None before there are lists."""
        self._guard_vector(using)
        prepared = prepare(vectors, self.dim, self.metric)
        with Moment(self._blocks, self._points) as (blocks, points):
            index = self._snapshot(points, blocks).index
            if index is None:
                return None
            return assign(index.router.to_index_space(prepared), index.router.centroids).astype(np.int64)

    def _logged(self, which: object) -> np.ndarray:
        """(n, dim) float32 queries asked lately."""
        if which != "logged":
            raise InputError(f'queries are vectors or "logged", not {which!r}')
        if self._live is None or not len(self._live):
            raise InputError(f"no query of {self.name!r} has been kept: there is nothing to measure recall on")
        return self._live.queries()
