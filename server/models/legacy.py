"""Searches and recommendations as they were asked for before there were queries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .query import Examples, SearchParams
from .words import Filter, Limit, Numbers, Offset, PayloadSelector, SparseVector, Strict, Vector, VectorSelector


class NamedVector(Strict):
    """A vector with its name."""

    name: str
    vector: Numbers | SparseVector


class SearchPoints(Strict):
    """One search in the older form."""

    vector: Vector | NamedVector
    limit: Limit
    offset: Offset | None = 0
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class SearchBatch(Strict):
    """Several searches."""

    searches: list[SearchPoints]


class SearchGroups(SearchPoints):
    """A search in the older form, whose hits are put in groups."""

    group_by: str
    group_size: Annotated[int, Field(ge=1, le=1_000)] | None = 3


class RecommendPoints(Examples):
    """A recommendation in the older form."""

    limit: Limit
    offset: Offset | None = 0
    using: str | None = None
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None
    with_payload: PayloadSelector | None = False
    with_vector: VectorSelector | None = False


class RecommendBatch(Strict):
    """Several recommendations."""

    searches: list[RecommendPoints]


class RecommendGroups(RecommendPoints):
    """A recommendation in the older form, whose hits are put in groups."""

    group_by: str
    group_size: Annotated[int, Field(ge=1, le=1_000)] | None = 3
