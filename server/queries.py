"""One query: read from its body, answered by one search, printed as scored points."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import pqdb

from .errors import (
    format_error,
    not_found,
    not_offered,
    not_yet,
    refuse_unknown_vector,
    validation_error,
)
from .fields import Fields, kind_of
from .ids import PointId, point_id
from .indexes import check_ordered
from .points import parse_filter, parse_page_size, parse_vectors_wanted
from .printing import Printed, scored, scored_hits
from .selectors import PayloadSelector
from .vectors import UNNAMED, one_vector, unnamed_vector
from .watch import Asked, Watch

Floats = npt.NDArray[np.float32]

MAX_K = 10_000  # the engine's own limit
_PAGE = 1_000  # points a page when a query without a vector skips its offset

_KEYS = (
    "query", "prefetch", "using", "filter", "params", "score_threshold", "limit", "offset", "with_vector",
    "with_vectors", "with_payload", "lookup_from", "shard_key",
)  # fmt: skip
_LATER = {
    "recommend": "recommendations",
    "discover": "discovery",
    "context": "context search",
    "fusion": "fusion",
    "rrf": "fusion",
    "formula": "formulas",
    "relevance_feedback": "relevance feedback",
}
KINDS = ("nearest", "id", "none", "order_by", "sample")
_ZERO = np.float32(0)
_ACORN: tuple[str, ...] = ("enable", "max_selectivity")

# An HNSW beam of this width answers about as well as our default recall of 0.97.
_USUAL_EF = 128
_MISS_AT_USUAL_EF = 0.03
_LEAST_RECALL, _MOST_RECALL = 0.5, 0.999


@dataclass(frozen=True)
class Effort:
    """How hard to search: arguments of `Collection.search`."""

    recall: float | None = None
    exact: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """As keyword arguments."""
        return {"recall": self.recall, "exact": self.exact}

    @classmethod
    def parse(cls, params: Fields | None, recall: float | None) -> Effort:
        """Read `params`; a recall asked for by header goes before `hnsw_ef` and `oversampling`.

        Raises Refusal 400 or 422.
        """
        if params is None:
            return cls(recall)
        params.only(("hnsw_ef", "exact", "quantization", "indexed_only", "acorn", "idf"))
        params.refuse(idf="sparse vectors")
        params.boolean("indexed_only")  # fresh rows are searched at no such cost as Qdrant's: always
        if (acorn := params.fields("acorn")) is not None:
            acorn.only(_ACORN)
        codes = params.fields("quantization") or Fields({}, params.path("quantization"))
        oversampling = _oversampling(codes.only(("ignore", "rescore", "oversampling")))
        if recall is None and (params.get("hnsw_ef") is not None or oversampling is not None):
            recall = recall_of_beam(params.unsigned("hnsw_ef", _USUAL_EF), oversampling or 1.0)
        return cls(recall, exact=params.boolean("exact") or codes.boolean("ignore"))


def _oversampling(codes: Fields) -> float | None:
    """How many times more candidates to rescore than are asked for."""
    if not codes.boolean("rescore", True):
        raise not_yet(f"scores straight from the codes (`{codes.path('rescore')}`: leave it out, or say true)")
    oversampling = codes.number("oversampling")
    if oversampling is not None and oversampling < 1.0:
        raise validation_error(codes.path("oversampling"), f"value {oversampling} invalid, must be 1.0 or larger")
    return oversampling


@dataclass(frozen=True)
class Target:
    """What a query looks for: one of these, or (none of them) points in the order of their ids."""

    vector: list[Any] | None = None  # what is near to it
    near: PointId | None = None  # what is near to this point
    order_by: Any = None  # points in the order of a payload key
    sample: bool = False  # points drawn at random


@dataclass(frozen=True)
class Query:
    """A checked query."""

    target: Target
    effort: Effort
    filter: Any  # as the engine takes it; None: all points
    threshold: float | None
    limit: int
    offset: int
    payload: PayloadSelector
    with_vector: bool
    place: str

    @classmethod
    def parse(cls, body: Fields, recall: float | None = None) -> Query:
        """Raises Refusal 400, or 422 for numbers out of range."""
        body.only(_KEYS).refuse(
            prefetch="prefetching", lookup_from="vectors of other collections", shard_key="shard keys"
        )
        if (name := body.text("using")) != UNNAMED:
            refuse_unknown_vector(name)
        limit, offset = parse_page_size(body)
        return cls(
            _target(body),
            Effort.parse(body.fields("params"), recall),
            parse_filter(body),
            body.number("score_threshold"),
            limit,
            offset,
            PayloadSelector.parse(body.get("with_payload"), body.path("with_payload"), default=False),
            parse_vectors_wanted(body),
            body.path("query"),
        )

    def explain(self, collection: pqdb.Collection) -> pqdb.Explanation:
        """What the search does. Raises Refusal 400 for a query without a vector, 404 for a point that is not there."""
        vector = self._vector(collection)
        if vector is None:
            raise format_error(f"{self.place}: there is no search to explain without a vector or a point")
        k = self._depth(collection)
        return collection.explain(vector, max(k, 1), **self._effort())

    def answer(self, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        """The scored points. Raises Refusal 404 when the point to search by is not there."""
        vector = self._vector(collection)
        if vector is not None:
            return self._nearest(collection, vector, watch)
        if self.threshold is not None and not self.threshold < 0:
            return []  # no point without a vector query scores better than 0
        if self.target.sample:
            return self._sampled(collection)
        return self._ordered(collection) if self.target.order_by is not None else self._by_id(collection)

    def _effort(self) -> dict[str, Any]:
        """How hard to search and among which points, as the engine takes it."""
        return self.effort.arguments if self.filter is None else {**self.effort.arguments, "filter": self.filter}

    def _vector(self, collection: pqdb.Collection) -> Floats | None:
        """The vector to search by, (dim,)."""
        near, vector = self.target.near, self.target.vector
        if near is not None:
            found = collection.get([near], with_payload=False, with_vector=True)
            if not found:
                raise not_found(f"No point with id {near} found")
            return np.asarray(found[0].vector, np.float32)
        return None if vector is None else one_vector(vector, collection.dim, self.place)

    def _nearest(self, collection: pqdb.Collection, vector: Floats, watch: Watch) -> list[Printed]:
        """Search, leave out the point searched by, cut at the threshold, and take the page asked for."""
        k = self._depth(collection)
        if k == 0:
            return []
        started = perf_counter()
        effort, without = self._effort(), self.target.near
        hits = collection.search(
            vector, k, with_payload=self.payload.wanted, with_vector=self.with_vector, **effort
        )
        watch.searched(Asked(collection, vector, k, effort), perf_counter() - started)
        scores = np.asarray(hits.scores, np.float32)
        passing: Sequence[int] = _within(scores, self.threshold, collection.metric)
        if without is not None:
            passing = [i for i in passing if hits.ids[i] != without]
        return scored_hits(hits, passing[self.offset : self.offset + self.limit], self.payload, self.with_vector)

    def _depth(self, collection: pqdb.Collection) -> int:
        """How many hits to ask for: never more than there are points, however large the limit."""
        k = self.limit + self.offset + (self.target.near is not None)
        if k <= MAX_K:
            return k
        n_points = len(collection)
        if min(k, n_points) > MAX_K:
            raise not_yet(f"queries deeper than {MAX_K} points (limit {self.limit} + offset {self.offset})")
        return min(k, n_points) if self.offset < n_points else 0

    def _sampled(self, collection: pqdb.Collection) -> list[Printed]:
        """Points drawn at random, with a score of 0."""
        n = min(self.limit, max(len(collection), 1))
        points = collection.sample(n, self.filter, with_payload=self.payload.wanted, with_vector=self.with_vector)
        return [scored(point, _ZERO, self.payload, self.with_vector) for point in points]

    def _ordered(self, collection: pqdb.Collection) -> list[Printed]:
        """Points in the order of a payload key, with a score of 0 and their value there."""
        check_ordered(collection, self.target.order_by)
        page = collection.scroll(
            min(self.limit + self.offset, max(len(collection), 1)),
            with_payload=self.payload.wanted,
            with_vector=self.with_vector,
            filter=self.filter,
            order_by=self.target.order_by,
        )
        pairs = list(zip(page.points, page.order_values or [], strict=True))[self.offset :]
        return [
            scored(point, _ZERO, self.payload, self.with_vector) | {"order_value": value} for point, value in pairs
        ]

    def _by_id(self, collection: pqdb.Collection) -> list[Printed]:
        """Points by ascending id, with a score of 0."""
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
            min(self.limit, max(len(collection), 1)),
            start,
            with_payload=self.payload.wanted,
            with_vector=self.with_vector,
            filter=self.filter,
        )
        return [scored(point, _ZERO, self.payload, self.with_vector) for point in page.points]


def parse_recall(header: str | None) -> float | None:
    """The header `x-pqdb-recall`. Raises Refusal 400 for anything but a number between 0 and 1."""
    if header is None:
        return None
    try:
        recall = float(header)
    except ValueError:
        recall = math.nan
    if not 0 < recall < 1:
        raise format_error(f"x-pqdb-recall: {header[:64]!r}, expected a number between 0 and 1", "headers")
    return recall


def recall_of_beam(ef: int, oversampling: float = 1.0) -> float:
    """The recall to ask for where Qdrant is given a beam of width `ef` and rescores so many times more.

    Misses halve as either doubles: our search chooses its own effort for a recall, so knobs become one.
    """
    misses = _MISS_AT_USUAL_EF * _USUAL_EF / (max(ef, 1) * oversampling)
    return min(max(1 - misses, _LEAST_RECALL), _MOST_RECALL)


def beam_of_recall(recall: float) -> int:
    """The width of Qdrant's beam that `recall_of_beam` reads as this recall."""
    return round(_MISS_AT_USUAL_EF * _USUAL_EF / (1 - recall))


def _target(body: Fields) -> Target:
    """What the `query` of a body looks for. Raises Refusal 400."""
    query, place = body.get("query"), body.path("query")
    if isinstance(query, dict):
        for kind, read in _VARIANTS.items():
            if kind in query:
                return read(Fields(query, place))
        for key, what in _LATER.items():
            if key in query:
                raise not_yet(f"{what} (`{place}.{key}`)")
    return _near(query, place)


def _nearest(query: Fields) -> Target:
    query.only(("nearest", "mmr")).refuse(mmr="maximal marginal relevance")
    return _near(query.required("nearest"), query.path("nearest"))


def _order_by(query: Fields) -> Target:
    return Target(order_by=query.only(("order_by",)).required("order_by"))


def _sample(query: Fields) -> Target:
    query.only(("sample",)).variant("sample", ("random",))
    return Target(sample=True)


_VARIANTS: dict[str, Callable[[Fields], Target]] = {"nearest": _nearest, "order_by": _order_by, "sample": _sample}


def _near(query: object, place: str) -> Target:
    """A vector or an id to be near to, or nothing."""
    if query is None:
        return Target()
    if isinstance(query, (int, str)) and not isinstance(query, bool):
        return Target(near=point_id(query))
    if not isinstance(query, (list, dict)):
        raise format_error(f"{place}: invalid type: {kind_of(query)}, expected a vector or a point id")
    if isinstance(query, dict) and "text" in query and "model" not in query:
        raise not_offered(f"embedding on the server (`{place}`); send the vector itself")
    return Target(vector=unnamed_vector(query, place))


def _within(scores: Floats, threshold: float | None, metric: str) -> Sequence[int]:
    """The hits strictly better than a threshold: nearer for l2, larger otherwise."""
    if threshold is None:
        return range(len(scores))
    with np.errstate(over="ignore"):  # a threshold beyond float32 is one that all or none pass
        limit = np.float32(threshold)
    better = scores < limit if metric == "l2" else scores > limit
    found: list[int] = np.flatnonzero(better).tolist()
    return found
