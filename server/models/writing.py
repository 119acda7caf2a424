"""Writes of points."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from .words import Filter, Id, Numbers, Payload, SparseVector, Strict, Vectors


class Point(Strict):
    """A point to write."""

    id: Id
    vector: Vectors
    payload: Payload | None = None


class Columns(Strict):
    """Points to write, column by column."""

    ids: list[Id]
    vectors: list[Numbers] | dict[str, list[Numbers | SparseVector]]
    payloads: list[Payload | None] | None = None


class UpsertPoints(Strict):
    """Points to write: one of the two forms. Those that are there are replaced only if they pass `update_filter`."""

    points: list[Point] | None = None
    batch: Columns | None = None
    update_filter: Filter | None = None
    update_mode: Literal["upsert", "insert_only", "update_only"] | None = None


class DeletePoints(Strict):
    """Points named by ids or by a filter, by one of the two."""

    points: list[Id] | None = None
    filter: Filter | None = None


class SetPayload(DeletePoints):
    """A payload for points."""

    payload: Payload
    key: str | None = Field(None, description="Where in the payloads; at their top without it.")


class DeletePayload(DeletePoints):
    """Keys to take out of payloads."""

    keys: list[str]


class PointVector(Strict):
    """A point's other vectors; those that are not named stay."""

    id: Id
    vector: Vectors


class UpdateVectors(Strict):
    """Vectors to put in the place of others, of points that pass `update_filter`."""

    points: list[PointVector]
    update_filter: Filter | None = None


class DeleteVectors(DeletePoints):
    """Points, and the names of the vectors to take from them."""

    vector: list[str]


class UpdateOperation(Strict):
    """One change of points."""

    upsert: UpsertPoints | None = None
    delete: DeletePoints | None = None
    set_payload: SetPayload | None = None
    overwrite_payload: SetPayload | None = None
    delete_payload: DeletePayload | None = None
    clear_payload: DeletePoints | None = None
    update_vectors: UpdateVectors | None = None
    delete_vectors: DeleteVectors | None = None


class UpdateBatch(Strict):
    """Changes, done in their order."""

    operations: list[UpdateOperation]


class UpdateResult(BaseModel):
    """A write's acknowledgement."""

    operation_id: int | None
    status: Literal["completed", "acknowledged", "wait_timeout"]


class Replace(UpsertPoints):
    """Points that go, and points that come."""

    filter: Filter
    if_version: Annotated[int, Field(ge=0, lt=2**64)] | None = Field(
        None, description="The newest version among those that go, 0 if there are none; else 409."
    )


class Imported(BaseModel):
    """How many points were written."""

    points: int
