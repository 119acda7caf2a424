"""What a query looks for: the variants of `query` that are offered, each read from its JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .errors import format_error, not_offered, not_yet, validation_error
from .fields import Fields, kind_of
from .ids import PointId, point_id
from .vectors import Given, query_vector

MAX_K = 10_000  # the engine's own limit
KINDS = ("nearest", "id", "none", "order_by", "sample", "mmr", "recommend", "rrf", "dbsf")

Example = PointId | Given  # a point, or a vector
_USUAL_RRF_K = 2
_USUAL_DIVERSITY = 0.5
_LATER = {
    "discover": "discovery",
    "context": "context search",
    "formula": "formulas",
    "relevance_feedback": "relevance feedback",
}


@dataclass(frozen=True)
class Mmr:
    """Maximal marginal relevance: near to the query, and unlike each other."""

    diversity: float  # 0: only near, 1: only unlike
    candidates: int | None  # how many of the nearest to choose from; None: as many as are asked for


@dataclass(frozen=True)
class Recommend:
    """Near to the average of examples and away from others; or, by best score, nearest to one of them."""

    positive: tuple[Example, ...]
    negative: tuple[Example, ...]
    best_score: bool = False


@dataclass(frozen=True)
class Fusion:
    """The results of several queries made one."""

    kind: str  # rrf or dbsf
    k: int = _USUAL_RRF_K
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Target:
    """One of these, or (none of them) points in the order of their ids."""

    vector: Given | None = None  # what is near to it
    near: PointId | None = None  # what is near to this point
    mmr: Mmr | None = None  # together with one of the two above
    recommend: Recommend | None = None
    fusion: Fusion | None = None
    order_by: Any = None  # points in the order of a payload key
    sample: bool = False  # points drawn at random

    @property
    def by_best_score(self) -> bool:
        """Whether scores are made of comparisons with each example, the larger the better."""
        return self.recommend is not None and self.recommend.best_score

    @property
    def has_vector(self) -> bool:
        """Whether it is a search by a vector, however that comes about."""
        return self.vector is not None or self.near is not None or self.recommend is not None

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is asked for but points."""
        return self == Target()


def parse_target(body: Fields) -> Target:
    """The `query` of a body. Raises Refusal 400 or 422."""
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
    target = _near(query.only(("nearest", "mmr")).required("nearest"), query.path("nearest"))
    mmr = query.fields("mmr")
    return target if mmr is None else Target(target.vector, target.near, _mmr(mmr))


def _mmr(fields: Fields) -> Mmr:
    fields.only(("diversity", "candidates_limit"))
    diversity = fields.number("diversity")
    diversity = _USUAL_DIVERSITY if diversity is None else diversity
    if not 0 <= diversity <= 1:
        raise validation_error(fields.path("diversity"), f"value {diversity} invalid, must be from 0.0 to 1.0")
    candidates = fields.unsigned("candidates_limit", 0, most=MAX_K)
    return Mmr(diversity, candidates or None)


def _recommend(query: Fields) -> Target:
    inner = Fields.of(query.only(("recommend",)).required("recommend"), query.path("recommend"))
    inner.only(("positive", "negative", "strategy"))
    strategy = inner.variant("strategy", ("average_vector", "best_score", "sum_scores"))
    if strategy == "sum_scores":
        raise not_yet("the strategy `sum_scores` of recommendations")
    positive, negative = (_examples(inner, key) for key in ("positive", "negative"))
    best_score = strategy == "best_score"
    if not positive and not (best_score and negative):
        needed = "an example" if best_score else "at least one positive example"
        raise format_error(f"{inner.path('positive')}: {needed} is needed")
    return Target(recommend=Recommend(positive, negative, best_score))


def _examples(fields: Fields, key: str) -> tuple[Example, ...]:
    values = [] if fields.get(key) is None else fields.array(key)
    found: list[Example] = []
    for i, value in enumerate(values):
        target = _near(value, f"{fields.path(key)}[{i}]")
        example = target.vector if target.near is None else target.near
        if example is None:
            raise format_error(f"{fields.path(key)}[{i}]: invalid type: null, expected a vector or a point id")
        found.append(example)
    return tuple(found)


def _fusion(query: Fields) -> Target:
    kind = query.only(("fusion",)).variant("fusion", ("rrf", "dbsf"))
    if kind is None:
        raise format_error(f"{query.path('fusion')}: expected one of `rrf`, `dbsf`")
    return Target(fusion=Fusion(kind))


def _rrf(query: Fields) -> Target:
    fields = Fields.of(query.only(("rrf",)).required("rrf"), query.path("rrf")).only(("k", "weights"))
    weights: tuple[float, ...] | None = None
    if fields.get("weights") is not None:
        given = Fields({str(i): value for i, value in enumerate(fields.array("weights"))}, fields.path("weights"))
        weights = tuple(given.number(str(i)) or 0.0 for i in range(len(given.value)))
    return Target(fusion=Fusion("rrf", fields.unsigned("k", _USUAL_RRF_K, least=1), weights))


def _order_by(query: Fields) -> Target:
    return Target(order_by=query.only(("order_by",)).required("order_by"))


def _sample(query: Fields) -> Target:
    query.only(("sample",)).variant("sample", ("random",))
    return Target(sample=True)


_VARIANTS: dict[str, Callable[[Fields], Target]] = {
    "nearest": _nearest,
    "recommend": _recommend,
    "fusion": _fusion,
    "rrf": _rrf,
    "order_by": _order_by,
    "sample": _sample,
}


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
    return Target(vector=query_vector(query, place))
