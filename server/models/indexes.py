"""Payload indexes, and what is counted by them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from .words import Filter, Limit, Strict

IndexKind = Literal["keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"]


class IndexParams(BaseModel):
    """A kind of index with Qdrant's knobs, which are kept and given back."""

    model_config = ConfigDict(extra="allow")

    type: IndexKind


class CreateIndex(Strict):
    """A key to index, and the kind of its values."""

    field_name: str
    field_schema: IndexKind | IndexParams


class FacetQuery(Strict):
    """A key whose values are counted; it needs an index of kind keyword, integer, uuid or bool."""

    key: str
    filter: Filter | None = None
    limit: Limit | None = 10
    exact: bool | None = False


class FacetHit(BaseModel):
    """A value, and how many points have it."""

    value: str | int | bool
    count: int


class FacetResult(BaseModel):
    """Values, the most frequent first."""

    hits: list[FacetHit]
