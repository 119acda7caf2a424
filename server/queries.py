"""One query: read from its body, answered by searches of the engine, printed as scored points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from . import bare, ranking
from .effort import Effort
from .errors import format_error, not_found, not_yet, wrong_input
from .fields import Fields
from .ids import PointId
from .indexes import check_ordered
from .points import check_number, parse_filter, parse_page_size, parse_vectors_wanted
from .printing import Printed, scored, scored_hits
from .selectors import PayloadSelector
from .shape import Shape, Vector, Wanted
from .targets import MAX_K, Example, Target, parse_target
from .watch import Asked, Watch

Floats = npt.NDArray[np.float32]

MOST_PREFETCHES = 64  # in one list
DEEPEST_PREFETCH = 8
_PAGE = 1_000  # points a page when a query without a vector skips its offset
_ONE = np.float32(1)  # the score of what was found without a vector
_NO_PAYLOAD = PayloadSelector(wanted=False)

_PREFETCH_KEYS = ("query", "prefetch", "using", "filter", "params", "score_threshold", "limit", "lookup_from")
_KEYS = (*_PREFETCH_KEYS, "offset", "with_vector", "with_vectors", "with_payload", "shard_key")


@dataclass(frozen=True)
class Query:
    """A checked query."""

    target: Target
    prefetch: tuple[Query, ...]
    effort: Effort
    filter: Any  # as the engine takes it; None: all points
    threshold: float | None
    limit: int
    offset: int
    payload: PayloadSelector
    with_vector: Wanted
    using: str  # the name of the vector to search by
    place: str

    @classmethod
    def parse(cls, body: Fields, recall: float | None = None, depth: int = 0) -> Query:
        """Raises Refusal 400, or 422 for numbers out of range; FilterError."""
        body.only(_PREFETCH_KEYS if depth else _KEYS)
        body.refuse(lookup_from="vectors of other collections", shard_key="shard keys")
        target, prefetch = parse_target(body), _prefetches(body, recall, depth)
        _check_together(target, prefetch, body.path("query"))
        if body.number("score_threshold") is not None and (target.is_nothing or target.order_by is not None):
            raise wrong_input("A query that gives scores is needed to use the score_threshold")
        limit, offset = parse_page_size(body)
        return cls(
            target,
            prefetch,
            Effort.parse(body.fields("params"), recall),
            parse_filter(body),
            body.number("score_threshold"),
            limit,
            offset,
            PayloadSelector.parse(body.get("with_payload"), body.path("with_payload"), default=False),
            parse_vectors_wanted(body),
            body.text("using"),
            body.path("query"),
        )

    def explain(self, collection: pqdb.Collection) -> pqdb.Explanation:
        """What the search does. Raises Refusal 400 for a query without a vector, 404 for a point that is not there."""
        if not self.target.has_vector or self.prefetch or self.target.by_best_score:
            raise format_error(f"{self.place}: there is no search to explain without a vector or a point alone")
        self._check_kind(collection)
        vector = self._vector(collection)
        k = self._depth(collection, len(set(self._mentioned())))
        return collection.explain(vector, max(k, 1), **self._effort(collection))

    def answer(self, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        """The scored points. Raises Refusal 404 when a point to search by is not there, 400 for an unknown vector."""
        self._wanted(collection)
        if self.target.fusion is not None:
            return self._fused(collection, watch)
        if self.target.has_vector:
            self._check_kind(collection)
        if self.prefetch:
            return replace(self, prefetch=(), filter=self._candidates(collection, watch)).answer(collection, watch)
        if self.target.by_best_score:
            return self._best_scored(collection)
        if self.target.has_vector:
            return self._nearest(collection, watch)
        if self.target.sample:
            return self._sampled(collection)
        return self._ordered(collection) if self.target.order_by is not None else self._by_id(collection)

    def ranked(self, collection: pqdb.Collection, watch: Watch) -> ranking.Ranked:
        """Ids and scores alone."""
        bare_query = replace(self, payload=_NO_PAYLOAD, with_vector=False)
        return [(hit["id"], float(hit["score"])) for hit in bare_query.answer(collection, watch)]

    def _wanted(self, collection: pqdb.Collection) -> Wanted:
        """Which vectors to give back, as the engine takes it. Raises Refusal 400 for names that are not there."""
        return self.with_vector if isinstance(self.with_vector, bool) else Shape.of(collection).wanted(self.with_vector)

    # -- searches

    def _effort(self, collection: pqdb.Collection) -> dict[str, Any]:
        """How hard to search and among which points, as the engine takes it."""
        filter_ = bare.without(self.filter) if bare.may_be_in(collection) else self.filter
        is_sparse = self.using in collection.sparse_vectors
        effort = {} if is_sparse else self.effort.arguments  # a sparse vector is always compared exactly
        effort = {**effort, "using": self.using} if self.using or is_sparse else effort
        return effort if filter_ is None else {**effort, "filter": filter_}

    def _mentioned(self) -> list[PointId]:
        """The points that the vector to search by is made of, which are not to be found."""
        target = self.target
        if target.recommend is None:
            return [] if target.near is None else [target.near]
        examples = (*target.recommend.positive, *target.recommend.negative)
        return [example for example in examples if isinstance(example, PointId)]

    def _check_kind(self, collection: pqdb.Collection) -> None:
        """Refuse what sparse vectors are not asked for. Raises Refusal 400."""
        if self.using not in collection.sparse_vectors:
            return
        if self.target.recommend is not None:
            raise not_yet(f"recommendations by sparse vectors (`{self.using}`)")
        if self.target.mmr is not None:
            raise not_yet(f"maximal marginal relevance of sparse vectors (`{self.using}`)")

    def _vector(self, collection: pqdb.Collection) -> Vector:
        """The vector to search by, (dim,) or sparse."""
        target = self.target
        if target.recommend is not None:
            positive = self._examples(collection, target.recommend.positive)
            negative = self._examples(collection, target.recommend.negative) if target.recommend.negative else None
            return ranking.averaged(positive, negative)
        example = target.vector if target.near is None else target.near
        assert example is not None
        return self._example(collection, Shape.of(collection), example)

    def _examples(self, collection: pqdb.Collection, examples: tuple[Example, ...]) -> Floats:
        """(n, dim) the vectors of examples."""
        shape = Shape.of(collection)
        return np.array([self._example(collection, shape, example) for example in examples], np.float32)

    def _example(self, collection: pqdb.Collection, shape: Shape, example: Example) -> Vector:
        """The vector of an example. Raises Refusal 404 for a point that is not there, 400 for one without it."""
        if not isinstance(example, PointId):
            return shape.vector(self.using, example, self.place)
        is_sparse = shape.is_sparse(self.using)
        found = collection.get([example], with_payload=True, with_vector=[self.using])
        if not found:
            raise not_found(f"No point with id {example} found")
        vector = _of_name(found[0].vector, self.using)
        if vector is None or bare.is_marked(found[0].payload):
            named = f" `{self.using}`" if self.using else ""
            raise wrong_input(f"point {example} has no vector{named} to search by")
        return vector if is_sparse else np.asarray(vector, np.float32)

    def _nearest(self, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        """Search, leave out the points searched by, cut at the threshold, and take the page asked for."""
        shape = Shape.of(collection)
        metric = "" if shape.is_sparse(self.using) else shape.metrics[self.using]
        vector, without = self._vector(collection), frozenset(self._mentioned())
        k, mmr = self._depth(collection, len(without)), self.target.mmr
        if k == 0:
            return []
        if mmr is not None and mmr.candidates is not None:
            k = min(mmr.candidates + len(without), MAX_K)
        started, effort = perf_counter(), self._effort(collection)
        hits = collection.search(
            vector,
            k,
            with_payload=self.payload.wanted,
            with_vector=_with(self.with_vector, self.using) if mmr is not None else shape.wanted(self.with_vector),
            **effort,
        )
        watch.searched(Asked(collection, vector, k, effort), perf_counter() - started)
        passing = _within(hits, self.threshold)
        if without:
            passing = [i for i in passing if hits.ids[i] not in without]
        if mmr is not None:
            passing = _diverse(hits, passing, mmr.diversity, self.offset + self.limit, (self.using, metric))
        return scored_hits(hits, passing[self.offset : self.offset + self.limit], self.payload, self.with_vector)

    def _best_scored(self, collection: pqdb.Collection) -> list[Printed]:
        """Points nearest to one of the positive examples, those nearest to a negative one last."""
        examples = self.target.recommend
        assert examples is not None
        k, effort = self._depth(collection, 0), self._effort(collection)
        if k == 0:
            return []
        hits = collection.recommend(
            self._checked(collection, examples.positive),
            self._checked(collection, examples.negative),
            k,
            strategy="best_score",
            with_payload=self.payload.wanted,
            with_vector=Shape.of(collection).wanted(self.with_vector),
            **effort,
        )
        passing = _within(hits, self.threshold)
        return scored_hits(hits, passing[self.offset : self.offset + self.limit], self.payload, self.with_vector)

    def _checked(self, collection: pqdb.Collection, examples: tuple[Example, ...]) -> list[Any]:
        """Examples as the engine takes them. Raises Refusal 404 for points that are not there, 400 without vectors."""
        vectors = self._examples(collection, examples) if examples else ()
        return [each if isinstance(each, PointId) else v for each, v in zip(examples, vectors, strict=True)]

    def _depth(self, collection: pqdb.Collection, left_out: int) -> int:
        """How many hits to ask for: never more than there are points, however large the limit."""
        k = self.limit + self.offset + left_out
        if k <= MAX_K:
            return k
        n_points = len(collection)
        if min(k, n_points) > MAX_K:
            raise not_yet(f"queries deeper than {MAX_K} points (limit {self.limit} + offset {self.offset})")
        return min(k, n_points) if self.offset < n_points else 0

    # -- several queries made one

    def _fused(self, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        """The results of the prefetches, each among the points that pass this query's filter too."""
        fusion = self.target.fusion
        assert fusion is not None
        lists = [
            replace(part, filter=_both(self.filter, part.filter)).ranked(collection, watch) for part in self.prefetch
        ]
        if fusion.kind == "dbsf":
            fused = ranking.dbsf([
                [(id_, -score) for id_, score in each] if part.is_distance(collection) else each
                for part, each in zip(self.prefetch, lists, strict=True)
            ])  # fmt: skip
        else:
            if fusion.weights is not None and len(fusion.weights) != len(lists):
                raise wrong_input(f"{len(fusion.weights)} weights for {len(lists)} prefetches")
            fused = ranking.rrf(lists, fusion.k, fusion.weights)
        if self.threshold is not None:
            fused = [(id_, score) for id_, score in fused if score >= self.threshold]  # (not strictly, as elsewhere)
        return self._printed(collection, fused[self.offset : self.offset + self.limit])

    def is_distance(self, collection: pqdb.Collection) -> bool:
        """Whether smaller scores of this query are better."""
        metric = Shape.of(collection).metrics.get(self.using)
        return metric in ranking.DISTANCES and self.target.has_vector and not self.target.by_best_score

    def _candidates(self, collection: pqdb.Collection, watch: Watch) -> Any:
        """A filter that passes what the prefetches find, each among the points that pass this query's filter and are
        not what it searches by: their limits count what may still be found.
        """
        mentioned, parts = self._mentioned(), []
        mine = _both(self.filter, {"must_not": [{"has_id": mentioned}]} if mentioned else None)
        for prefetch in self.prefetch:
            part = replace(prefetch, filter=_both(mine, prefetch.filter))
            if part.target.is_nothing and not part.prefetch and part.limit >= len(collection):
                parts.append({} if part.filter is None else part.filter)  # no more than a filter
            else:
                parts.append({"must": [{"has_id": [id_ for id_, _ in part.ranked(collection, watch)]}]})
        return {"should": parts}

    def _printed(self, collection: pqdb.Collection, ranked: ranking.Ranked) -> list[Printed]:
        points = collection.get(
            [id_ for id_, _ in ranked],
            self.payload.wanted or (bool(self.with_vector) and bare.may_be_in(collection)),
            self._wanted(collection),
        )
        scores = dict(ranked)
        return [scored(point, np.float32(scores[point.id]), self.payload, self.with_vector) for point in points]

    # -- without a vector

    def _sampled(self, collection: pqdb.Collection) -> list[Printed]:
        """Points drawn at random, with a score of 1."""
        n = min(self.limit + self.offset, max(len(collection), 1))
        points = collection.sample(n, self.filter, with_payload=True, with_vector=self._wanted(collection))
        return [scored(point, _ONE, self.payload, self.with_vector) for point in points[self.offset :]]

    def _ordered(self, collection: pqdb.Collection) -> list[Printed]:
        """Points in the order of a payload key, with a score of 1 and their value there."""
        check_ordered(collection, self.target.order_by)
        page = collection.scroll(
            min(self.limit + self.offset, max(len(collection), 1)),
            with_vector=self._wanted(collection),
            filter=self.filter,
            order_by=self.target.order_by,
        )
        pairs = list(zip(page.points, page.order_values or [], strict=True))[self.offset :]
        return [
            scored(point, _ONE, self.payload, self.with_vector) | {"order_value": value} for point, value in pairs
        ]

    def _by_id(self, collection: pqdb.Collection) -> list[Printed]:
        """Points by ascending id, with a score of 1."""
        start: PointId | None = None
        left = self.offset
        while left:
            skipped = collection.scroll(
                min(left, _PAGE), start, with_payload=False, with_vector=False, filter=self.filter
            )
            if skipped.next_offset is None:
                return []
            start, left = skipped.next_offset, left - len(skipped.points)
        page = collection.scroll(
            min(self.limit, max(len(collection), 1)), start, with_vector=self._wanted(collection), filter=self.filter
        )
        return [scored(point, _ONE, self.payload, self.with_vector) for point in page.points]


def _prefetches(body: Fields, recall: float | None, depth: int) -> tuple[Query, ...]:
    given = body.get("prefetch")
    if given in (None, []):
        return ()
    if depth >= DEEPEST_PREFETCH:
        raise format_error(f"{body.path('prefetch')}: prefetches go deeper than {DEEPEST_PREFETCH} levels")
    many = given if isinstance(given, list) else [given]
    check_number(body.path("prefetch"), len(many), MOST_PREFETCHES)
    return tuple(
        Query.parse(Fields.of(each, f"{body.path('prefetch')}[{i}]"), recall, depth + 1) for i, each in enumerate(many)
    )


def _check_together(target: Target, prefetch: tuple[Query, ...], place: str) -> None:
    """Refuse a fusion of nothing, and prefetches that nothing is done with. Raises Refusal 400."""
    if target.fusion is not None and not prefetch:
        raise wrong_input(f"`{place}`: a fusion needs prefetches to fuse")
    if prefetch and target.is_nothing:
        raise wrong_input(f"`{place}`: prefetches need a query that ranks what they find")


def _both(one: Any, other: Any) -> Any:
    """A filter that passes what both pass; None passes everything."""
    if one is None or other is None:
        return other if one is None else one
    return {"must": [one, other]}


def _of_name(vector: Any, name: str) -> Any:
    """One of a point's vectors; None where it lacks it."""
    return vector.get(name) if isinstance(vector, dict) else vector


def _with(wanted: Wanted, name: str) -> Wanted:
    """Those vectors that are wanted, and one more."""
    return [*wanted, name] if isinstance(wanted, list) else wanted or [name]


def _diverse(
    hits: pqdb.Hits, passing: Sequence[int], diversity: float, n: int, vector: tuple[str, str]
) -> list[int]:
    """Which of the passing hits to give, by maximal marginal relevance; `vector`: its name and its metric."""
    if not passing or hits.vectors is None:
        return []
    (name, metric), rows = vector, np.array(passing)
    held = np.stack([_of_name(hits.vectors[row], name) for row in rows])
    scores = np.asarray(hits.scores, np.float32)[rows]
    nearness = -scores if hits.smaller_is_nearer else scores
    chosen = ranking.diverse(held, -scores * scores if metric == "l2" else nearness, diversity, n, metric)
    return [int(rows[i]) for i in chosen]


def _within(hits: pqdb.Hits, threshold: float | None) -> Sequence[int]:
    """The hits strictly better than a threshold, below it for distances, else above; those of equal scores in the order
    of their ids, numbers before UUIDs.
    """
    scores = hits.scores
    passing: Sequence[int] = range(len(scores))
    if threshold is not None:
        with np.errstate(over="ignore"):  # a threshold beyond float32 is one that all or none pass
            limit = np.float32(threshold)
        passing = np.flatnonzero(scores < limit if hits.smaller_is_nearer else scores > limit).tolist()
    if len(set(scores.tolist())) == len(scores):
        return passing
    differs = scores[1:] != scores[:-1]
    ids, places = hits.ids, np.concatenate([[0], np.cumsum(differs)]).tolist()
    return sorted(passing, key=lambda i: (places[i], isinstance(ids[i], str), ids[i]))
