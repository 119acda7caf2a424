"""Queries, and the points found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from .reading import OrderBy, Record
from .words import Filter, Id, Limit, Offset, PayloadSelector, Strict, Vector, VectorSelector


class CodesParams(Strict):
    """What to do about the codes."""

    ignore: bool | None = Field(None, description="Compare source vectors only, like `exact`.")
    rescore: bool | None = Field(None, description="Scores are exact either way.")
    oversampling: Annotated[float, Field(ge=1)] | None = None


class SearchParams(Strict):
    """How hard to search."""

    exact: bool | None = None
    hnsw_ef: Annotated[int, Field(ge=0)] | None = Field(None, description="128 asks for a recall of 0.97.")
    quantization: CodesParams | None = None
    indexed_only: bool | None = None
    idf: Literal["global"] | None = Field(None, description="Frequencies are those among all points.")


class MmrParams(Strict):
    """Maximal marginal relevance."""

    diversity: Annotated[float, Field(ge=0, le=1)] | None = Field(0.5, description="0: only near, 1: only unlike.")
    candidates_limit: Annotated[int, Field(ge=0, le=10_000)] | None = None


class Nearest(Strict):
    """The points nearest to a vector or to another point."""

    nearest: Vector | Id
    mmr: MmrParams | None = None


class Examples(Strict):
    """Points or vectors to be near to, and to be far from."""

    positive: Annotated[list[Vector | Id], Field(min_length=1)]
    negative: list[Vector | Id] | None = None
    strategy: Literal["average_vector", "best_score"] | None = None


class Recommended(Strict):
    """Points like some and unlike others."""

    recommend: Examples


class Fused(Strict):
    """The results of the prefetches made one."""

    fusion: Literal["rrf", "dbsf"]


class RrfParams(Strict):
    """Reciprocal rank fusion."""

    k: Annotated[int, Field(ge=1)] | None = 2
    weights: list[float] | None = None


class FusedByRank(Strict):
    """The results of the prefetches made one, with weights."""

    rrf: RrfParams


class Ordered(Strict):
    """Points in the order of a payload key."""

    order_by: str | OrderBy


class Sampled(Strict):
    """Points drawn at random."""

    sample: Literal["random"]


AnyQuery = Nearest | Recommended | Fused | FusedByRank | Ordered | Sampled | Vector | Id


class Prefetch(Strict):
    """A query whose results another one ranks."""

    prefetch: list[Prefetch] | Prefetch | None = None
    query: AnyQuery | None = None
    using: str | None = Field(None, description="The name of the vector; the one without a name if nothing is said.")
    filter: Filter | None = None
    params: SearchParams | None = None
    score_threshold: float | None = None
    limit: Limit | None = 10


class QueryPoints(Strict):
    """One query; without `query`, points by id."""

    prefetch: list[Prefetch] | Prefetch | None = None
    query: AnyQuery | None = None
    filter: Filter | None = None
    using: str | None = Field(None, description="The name of the vector; the one without a name if nothing is said.")
    limit: Limit | None = 10
    offset: Offset | None = 0
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class QueryBatch(Strict):
    """Several queries."""

    searches: list[QueryPoints]


class ScoredPoint(Record):
    """A point found."""

    version: int
    score: float


class QueryResult(BaseModel):
    """The points found, nearest first."""

    points: list[ScoredPoint]


class QueryGroups(Strict):
    """A query whose hits are put in groups."""

    group_by: str = Field(description="A payload key; its strings and integers are the groups.")
    group_size: Annotated[int, Field(ge=1, le=1_000)] | None = 3
    limit: Annotated[int, Field(ge=1, le=1_000)] | None = Field(10, description="How many groups.")
    prefetch: list[Prefetch] | Prefetch | None = None
    query: AnyQuery | None = None
    using: str | None = Field(None, description="The name of the vector; the one without a name if nothing is said.")
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class Group(BaseModel):
    """A value of the key, and its best points."""

    id: str | int
    hits: list[ScoredPoint]


class GroupsResult(BaseModel):
    """The groups, by their best point."""

    groups: list[Group]


class BinaryResult(BaseModel):
    """Ids and scores, a list a query."""

    ids: list[list[Id]]
    scores: list[list[float]]
