"""Changes to points: each body read into one verb of the engine, alone or as one of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pqdb

from .errors import format_error
from .fields import Fields
from .ids import point_id
from .points import SHARDS, Batch, Which, check_depth, check_number
from .selectors import parse_path
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
        """`{"points": [ids]}` or `{"filter": …}`."""
        which = Which.parse(body.only(_WHICH).refuse(shard_key=SHARDS))
        return lambda collection: _silent(which.are_none or collection.delete(**which.arguments))

    def set_payload(self, body: Fields) -> Change:
        """`{"payload", "points" | "filter", "key"}`: merged into the payloads, or into the objects at a key."""
        payload, which = self._payload(body, "key")
        key = body.text("key") or None
        return lambda collection: _silent(
            which.are_none or collection.set_payload(payload, **which.arguments, key=key)
        )

    def overwrite_payload(self, body: Fields) -> Change:
        """`{"payload", "points" | "filter"}`; with a `key`, like `set_payload`."""
        if body.text("key"):
            return self.set_payload(body)
        payload, which = self._payload(body, "key")
        return lambda collection: _silent(which.are_none or collection.overwrite_payload(payload, **which.arguments))

    def delete_payload(self, body: Fields) -> Change:
        """`{"keys", "points" | "filter"}`."""
        which = Which.parse(body.only(("keys", *_WHICH)).refuse(shard_key=SHARDS))
        keys = body.array("keys")
        for key in keys:
            parse_path(key if isinstance(key, str) else "")
        return lambda collection: _silent(which.are_none or collection.delete_payload(keys, **which.arguments))

    def clear_payload(self, body: Fields) -> Change:
        """`{"points": [ids]}` or `{"filter": …}`."""
        which = Which.parse(body.only(_WHICH).refuse(shard_key=SHARDS))
        return lambda collection: _silent(which.are_none or collection.clear_payload(**which.arguments))

    @staticmethod
    def _payload(body: Fields, *others: str) -> tuple[dict[str, Any], Which]:
        body.only(("payload", *_WHICH, *others)).refuse(shard_key=SHARDS)
        body.required("payload")
        fields = Fields.of(body.get("payload"), body.path("payload"))
        check_depth([fields.value])
        return fields.value, Which.parse(body)

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
    "set_payload": Reader.set_payload,
    "overwrite_payload": Reader.overwrite_payload,
    "delete_payload": Reader.delete_payload,
    "clear_payload": Reader.clear_payload,
    "update_vectors": Reader.update_vectors,
}
_WHICH = ("points", "filter", "shard_key")
_ABSENT = {"delete_vectors": "points without a vector"}


def _silent(_: Any) -> None:
    """Nothing, for a verb that tells no sequence."""
