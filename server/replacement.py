"""The body of an atomic replacement: which points go, which come, and what must be so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pqdb

from . import bare
from .fields import Fields
from .points import Batch
from .shape import Shape


@dataclass(frozen=True)
class Replacement:
    """A checked replacement."""

    where: Any  # the filter whose points go
    batch: Batch  # the points that come
    if_version: int | None

    @classmethod
    def parse(cls, body: Fields, shape: Shape, most: int) -> Replacement:
        """`{"filter", "points" | "batch", "if_version"}`. Raises Refusal 400 or 422; FilterError."""
        body.only(("filter", "points", "batch", "if_version"))
        body.required("filter")
        where = bare.parse_filter(Fields.of(body.get("filter"), "filter").value)
        points = {key: body.get(key) for key in ("points", "batch") if body.get(key) is not None}
        version = None if body.get("if_version") is None else body.unsigned("if_version", 0)
        return cls(where, Batch.parse(Fields(points, ""), shape, most), version)

    def done(self, database: pqdb.Database, collection: pqdb.Collection) -> int:
        """Replace, and return the sequence of the commit. Raises ConflictError."""
        if self.batch.has_bare:
            bare.prepare(database, collection)
        return collection.replace(
            self.where, self.batch.ids, self.batch.vectors, self.batch.payloads, if_version=self.if_version
        )
