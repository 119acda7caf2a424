"""Changes to points: each body read into one verb of the engine, alone or as one of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pqdb

from .errors import format_error
from .fields import Fields
from .ids import point_id
from .points import SHARDS, Batch, check_number, parse_deletion
from .vectors import matrix, unnamed_vector

# Does a change, and returns the sequence of its commit where the engine tells one.
Change = Callable[[pqdb.Collection], int | None]


@dataclass(frozen=True)
class Reader:
    """What a body is read against."""

    dim: int
    most: int  # points a request may write

    def upsert(self, body: Fields) -> Change:
        """`{"points": [...]}` or `{"batch": {...}}`."""
        batch = Batch.parse(body, self.dim, self.most)
        return lambda collection: collection.upsert(batch.ids, batch.vectors, batch.payloads)

    def delete(self, body: Fields) -> Change:
        """`{"points": [ids]}`."""
        ids = parse_deletion(body)
        return lambda collection: _silent(collection.delete(ids))

    def update_vectors(self, body: Fields) -> Change:
        """`{"points": [{"id", "vector"}]}`: payloads stay."""
        body.only(("points", "shard_key", "update_filter"))
        body.refuse(shard_key=SHARDS, update_filter="conditional updates")
        points = body.array("points")
        check_number(body.path("points"), len(points), self.most)
        ids, vectors = [], []
        for i, value in enumerate(points):
            fields = Fields.of(value, f"{body.path('points')}[{i}]").only(("id", "vector"))
            ids.append(point_id(fields.required("id")))
            vectors.append(unnamed_vector(fields.required("vector"), fields.path("vector")))
        rows = matrix(vectors, self.dim, body.path("points") + "[{}].vector")
        return lambda collection: collection.set_vectors(ids, rows) if ids else None

    def batch(self, body: Fields) -> list[Change]:
        """`{"operations": [{"upsert": …}, {"delete": …}, …]}`, all of them checked."""
        changes = []
        for i, value in enumerate(body.only(("operations",)).array("operations")):
            operation = Fields.of(value, f"operations[{i}]").only((*_OPERATIONS, *_ABSENT))
            if len(operation.value) != 1:
                raise format_error(f"{operation.place}: expected one of {', '.join(f'`{key}`' for key in _OPERATIONS)}")
            operation.refuse(**_ABSENT)
            [(name, inner)] = operation.value.items()
            changes.append(_OPERATIONS[name](self, Fields.of(inner, operation.path(name))))
        return changes


_OPERATIONS: dict[str, Callable[[Reader, Fields], Change]] = {
    "upsert": Reader.upsert,
    "delete": Reader.delete,
    "update_vectors": Reader.update_vectors,
}
_ABSENT = {"delete_vectors": "points without a vector"}


def _silent(_: Any) -> None:
    """Nothing, for a verb that tells no sequence."""
