"""Changes to points: each body read into one verb of the engine, alone or as one of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import pqdb

from . import bare
from .errors import format_error, not_found
from .fields import Fields, kind_of
from .ids import PointId, point_id
from .points import SHARDS, Batch, Which, check_depth, check_number, parse_filter
from .selectors import parse_path
from .shape import Shape
from .vectors import UNNAMED

# Does a change, and returns the sequence of its commit where the engine tells one.
Change = Callable[[pqdb.Collection], int | None]


@dataclass(frozen=True)
class Reader:
    """What a body is read against."""

    database: pqdb.Database
    shape: Shape
    most: int  # points a request may write

    def upsert(self, body: Fields) -> Change:
        """`{"points": [...]}` or `{"batch": {...}}`, with `update_mode` and `update_filter`."""
        batch = Batch.parse(body, self.shape, self.most)

        def change(collection: pqdb.Collection) -> int:
            if batch.has_bare:
                bare.prepare(self.database, collection)
            return collection.upsert(batch.ids, batch.vectors, batch.payloads, **batch.terms)

        return change

    def delete(self, body: Fields) -> Change:
        """`{"points": [ids]}` or `{"filter": …}`."""
        which = Which.parse(body.only(_WHICH).refuse(shard_key=SHARDS))
        return lambda collection: _silent(which.are_none or collection.delete(**which.arguments))

    def set_payload(self, body: Fields) -> Change:
        """`{"payload", "points" | "filter", "key"}`: merged into the payloads, or into the objects at a key."""
        payload, which = self._payload(body, "key")
        key = body.text("key") or None
        if key is not None:
            _check_keys(body.path("key"), [key])
        return partial(
            _each, which, lambda collection, some: collection.set_payload(payload, **some.arguments, key=key)
        )

    def overwrite_payload(self, body: Fields) -> Change:
        """`{"payload", "points" | "filter"}`; with a `key`, like `set_payload`."""
        if body.text("key"):
            return self.set_payload(body)
        payload, which = self._payload(body, "key")
        return partial(_each, which, partial(_overwrite, payload))

    def delete_payload(self, body: Fields) -> Change:
        """`{"keys", "points" | "filter"}`."""
        which = Which.parse(body.only(("keys", *_WHICH)).refuse(shard_key=SHARDS))
        keys = body.array("keys")
        _check_keys(body.path("keys"), keys)
        return partial(_each, which, lambda collection, some: collection.delete_payload(keys, **some.arguments))

    def clear_payload(self, body: Fields) -> Change:
        """`{"points": [ids]}` or `{"filter": …}`."""
        which = Which.parse(body.only(_WHICH).refuse(shard_key=SHARDS))
        return partial(_each, which, partial(_overwrite, None))

    @staticmethod
    def _payload(body: Fields, *others: str) -> tuple[dict[str, Any], Which]:
        body.only(("payload", *_WHICH, *others)).refuse(shard_key=SHARDS)
        body.required("payload")
        fields = Fields.of(body.get("payload"), body.path("payload"))
        check_depth([fields.value])
        bare.refuse_mark(fields.value, fields.place)
        return fields.value, Which.parse(body)

    def update_vectors(self, body: Fields) -> Change:
        """`{"points": [{"id", "vector"}], "update_filter"}`: payloads stay."""
        body.only(("points", "shard_key", "update_filter")).refuse(shard_key=SHARDS)
        where = parse_filter(body, "update_filter")
        points = body.array("points")
        check_number(body.path("points"), len(points), self.most)
        ids, vectors = [], []
        for i, value in enumerate(points):
            fields = Fields.of(value, f"{body.path('points')}[{i}]").only(("id", "vector"))
            ids.append(point_id(fields.required("id")))
            vectors.append(fields.required("vector"))
        ids, vectors = _once_each(ids, vectors)
        rows = self.shape.rows(vectors, body.path("points") + "[{}].vector")

        def change(collection: pqdb.Collection) -> int | None:
            if not ids:
                return None
            sequence = collection.set_vectors(ids, rows, where=where)
            if bare.may_be_in(collection):
                passed = [{"has_id": ids}] if where is None else [{"has_id": ids}, where]
                collection.delete_payload([bare.MARK], filter={"must": passed})
            return sequence

        return change

    def delete_vectors(self, body: Fields) -> Change:
        """`{"points": [ids] | "filter": …, "vector": [names]}`: the points stay, without these vectors."""
        which = Which.parse(body.only(("vector", *_WHICH)).refuse(shard_key=SHARDS))
        names = [str(name) for name in body.array("vector")]
        for name in names:
            self.shape.is_sparse(name)
        if not self.shape.has_names:
            return partial(_bare, self.database, which)
        return lambda collection: _silent(
            which.are_none or not names or collection.delete_vectors(names, **which.arguments)
        )

    def batch(self, body: Fields) -> list[Change]:
        """`{"operations": [{"upsert": …}, {"delete": …}, …]}`, all of them checked."""
        changes = []
        for i, value in enumerate(body.only(("operations",)).array("operations")):
            operation = Fields.of(value, f"operations[{i}]").only(_OPERATIONS)
            if len(operation.value) != 1:
                raise format_error(f"{operation.place}: expected one of {', '.join(f'`{key}`' for key in _OPERATIONS)}")
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
    "delete_vectors": Reader.delete_vectors,
}
_PAGE = 1_000
_WHICH = ("points", "filter", "shard_key")


def _each(which: Which, change: Callable[[pqdb.Collection, Which], int], collection: pqdb.Collection) -> None:
    """Change the payloads of points; `change` tells how many there were.

    Where ids are not there the others are changed, and then, as Qdrant answers, 404 names the first of them.
    """
    if which.are_none:
        return
    there = change(collection, which)
    ids = which.arguments.get("ids")
    if ids is not None and there < len(set(ids)):
        known = {point.id for point in collection.get(ids, False, False)}
        missing = next((each for each in ids if each not in known), None)
        if missing is not None:
            raise not_found(f"No point with id {missing} found")


def _overwrite(payload: dict[str, Any] | None, collection: pqdb.Collection, which: Which) -> int:
    """Put a payload, or none, in the place of others; points without a vector keep their mark."""
    parts = [(which.arguments, payload)]
    if bare.may_be_in(collection):
        filter_ = which.filter
        parts = [({"filter": bare.without(filter_)}, payload), ({"filter": bare.only(filter_)}, bare.marked(payload))]
    return sum(
        collection.clear_payload(**some) if each is None else collection.overwrite_payload(each, **some)
        for some, each in parts
    )


def _set_zeros(collection: pqdb.Collection, ids: list[PointId]) -> None:
    """The zero vector for points that were marked, but for those that were given a vector or deleted since."""
    while ids:
        try:
            zeros = np.zeros((len(ids), collection.dim), np.float32)
            collection.set_vectors(ids, zeros, where=bare.only(None))
            return
        except pqdb.PointNotFoundError:
            ids = [point.id for point in collection.get(ids, False, False)]


def _once_each(ids: list[PointId], vectors: list[Any]) -> tuple[list[PointId], list[Any]]:
    """Points and what they are given, each named once: of vectors with names all, of others the last."""
    given: dict[PointId, Any] = {}
    for id_, vector in zip(ids, vectors, strict=True):
        given[id_] = _merged(given[id_], vector) if id_ in given else vector
    return list(given), list(given.values())


def _merged(before: Any, vector: Any) -> Any:
    """What a point named twice is given; a plain list is the vector without a name."""
    one, other = ({UNNAMED: each} if isinstance(each, list) else each for each in (before, vector))
    return {**one, **other} if isinstance(one, dict) and isinstance(other, dict) else vector


def _bare(database: pqdb.Database, which: Which, collection: pqdb.Collection) -> None:
    """Take the vectors of points away."""
    if which.are_none:
        return
    bare.prepare(database, collection)
    offset: PointId | None = None
    while True:  # a page at a time: each is small, however many pass
        page = collection.scroll(_PAGE, offset, with_payload=False, filter=which.filter)
        if page.points:
            ids = [point.id for point in page.points]
            collection.set_payload(bare.marked(None), ids)
            _set_zeros(collection, ids)
        if page.next_offset is None:
            return
        offset = page.next_offset


def _check_keys(place: str, keys: list[Any]) -> None:
    """Refuse what is no payload key, and the service's own. Raises Refusal 400."""
    for key in keys:
        if not isinstance(key, str):
            raise format_error(f"{place}: invalid type: {kind_of(key)}, expected a payload key")
        if parse_path(key)[0] == bare.MARK:
            raise format_error(f"{place}: the key `{bare.MARK}` is kept for the service itself")


def _silent(_: Any) -> None:
    """Nothing, for a verb that tells no sequence."""
