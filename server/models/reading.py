"""Points read as they are stored."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from .words import Filter, Id, Limit, Payload, PayloadSelector, SparseVector, Strict, VectorSelector


class Record(BaseModel):
    """A stored point."""

    id: Id
    payload: Payload | None = None
    vector: list[float] | dict[str, list[float] | SparseVector] | None = None
    order_value: float | int | str | None = None


class RetrievePoints(Strict):
    """Points to give back by id."""

    ids: list[Id]
    with_payload: PayloadSelector | None = True
    with_vector: VectorSelector | None = False


class OrderBy(Strict):
    """The order of a payload key, which needs an index."""

    key: str
    direction: Literal["asc", "desc"] | None = "asc"
    start_from: float | int | str | None = None


class ScrollPoints(Strict):
    """A page of points, all or those that pass a filter."""

    limit: Limit | None = 10
    offset: Id | None = None
    filter: Filter | None = None
    order_by: str | OrderBy | None = None
    with_payload: PayloadSelector | None = True
    with_vector: VectorSelector | None = False


class ScrollResult(BaseModel):
    """A page, and where the next one begins."""

    points: list[Record]
    next_page_offset: Id | None


class CountPoints(Strict):
    """A count; always exact."""

    exact: bool | None = True
    filter: Filter | None = None


class CountResult(BaseModel):
    """A count."""

    count: int
