"""The bodies of point operations: what to write, what to delete, what to give back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from . import bare
from .errors import format_error, validation_error, wrong_input
from .fields import Fields, kind_of, unsigned
from .ids import PointId, point_id, point_ids
from .selectors import PayloadSelector, parse_vector_selector
from .shape import Columns, Shape, Wanted
from .vectors import UNNAMED, Matrix, named_vectors, unnamed_vectors

DEFAULT_LIMIT = 10
PAYLOAD_DEPTH = 128  # as deep as Qdrant's parser goes

_UPSERT_KEYS = ("points", "batch", "shard_key", "update_filter", "update_mode")
_SCROLL_KEYS = (
    "filter", "limit", "offset", "with_payload", "with_vector", "with_vectors", "order_by", "shard_key",
)  # fmt: skip
_MODES = {"upsert": None, "insert_only": "new", "update_only": "known"}
SHARDS = "shard keys"


@dataclass(frozen=True)
class Batch:
    """Points to write."""

    ids: list[PointId]
    vectors: Matrix | Columns  # (n, dim) float32, zero where a point has none; or those with names
    payloads: list[dict[str, Any] | None]  # those of points without the unnamed vector are marked
    has_bare: bool = False  # whether there are such points
    terms: dict[str, Any] = field(default_factory=dict)  # which of them: keyword arguments of the engine's upsert

    @classmethod
    def parse(cls, body: Fields, shape: Shape, most: int) -> Batch:
        """Read `{"points": [...]}` or `{"batch": {...}}` of at most `most` points. Raises Refusal 400 or 422."""
        body.only(_UPSERT_KEYS).refuse(shard_key=SHARDS)
        only = _MODES[body.variant("update_mode", _MODES) or "upsert"]
        form, terms = body.fields("batch"), {"only": only, "where": parse_filter(body, "update_filter")}
        batch = cls._of_columns(form, shape) if form is not None else cls._of_points(body.array("points"), shape)
        if not batch.ids:
            raise wrong_input("Empty update request")
        check_number("points", len(batch.ids), most)
        check_depth(batch.payloads)
        return replace(batch, terms=terms)

    @classmethod
    def _of_points(cls, points: list[Any], shape: Shape) -> Batch:
        ids, vectors, payloads, has_bare = [], [], [], False
        for i, point in enumerate(points):
            fields = Fields.of(point, f"points[{i}]").only(("id", "vector", "payload"))
            ids.append(point_id(fields.required("id")))
            vector, payload = fields.required("vector"), _payload(fields.get("payload"), fields.path("payload"))
            if vector == {} and not shape.has_names:
                vector, payload, has_bare = [0.0] * shape.dim(UNNAMED), bare.marked(payload), True
            vectors.append(vector)
            payloads.append(payload)
        return cls(ids, shape.rows(vectors, "points[{}].vector"), payloads, has_bare)

    @classmethod
    def _of_columns(cls, form: Fields, shape: Shape) -> Batch:
        form.only(("ids", "vectors", "payloads"))
        ids = point_ids(form.array("ids"))
        vectors = _of_batch(form.required("vectors"), form.path("vectors"), shape, len(ids))
        given = [None] * len(ids) if form.get("payloads") is None else form.array("payloads")
        if len(given) != len(ids):
            _refuse_unequal("payloads", len(ids), len(given))
        payloads = [_payload(value, f"batch.payloads[{i}]") for i, value in enumerate(given)]
        return cls(ids, vectors, payloads)


@dataclass(frozen=True)
class Which:
    """Points named by their ids or by a filter: keyword arguments of the engine's verbs."""

    arguments: dict[str, Any]

    @classmethod
    def parse(cls, body: Fields) -> Which:
        """Read `{"points": [ids]}` or `{"filter": …}`. Raises Refusal 400, FilterError."""
        ids, filter_ = body.get("points"), body.fields("filter")
        if ids is not None and filter_ is None:
            return cls({"ids": point_ids(body.array("points"))})
        if filter_ is not None and ids is None:
            return cls({"filter": bare.parse_filter(filter_.value)})
        raise format_error(f"{body.place or 'points'}: expected either `points` or `filter`")

    @property
    def filter(self) -> Any:
        """The same as a filter."""
        ids = self.arguments.get("ids")
        return self.arguments["filter"] if ids is None else {"must": [{"has_id": ids}]}

    @property
    def are_none(self) -> bool:
        """Whether an empty list of ids was sent."""
        return self.arguments.get("ids") == []


@dataclass(frozen=True)
class Retrieval:
    """Points to give back by id."""

    ids: list[PointId]
    payload: PayloadSelector
    with_vector: Wanted

    @classmethod
    def parse(cls, body: Fields, most: int) -> Retrieval:
        """Raises Refusal 400, or 422 for more ids than `most`."""
        body.only(("ids", "with_payload", "with_vector", "with_vectors", "shard_key"))
        body.refuse(shard_key=SHARDS)
        check_number("ids", len(body.array("ids")), most)
        return cls(
            point_ids(body.array("ids")),
            PayloadSelector.parse(body.get("with_payload"), body.path("with_payload"), default=True),
            parse_vectors_wanted(body),
        )


@dataclass(frozen=True)
class Scrolling:
    """One page of all points in the order of their ids."""

    limit: int
    offset: PointId | None
    filter: Any  # as the engine takes it; None: all points
    order_by: Any  # a key or an object; None: by id
    payload: PayloadSelector
    with_vector: Wanted

    @classmethod
    def parse(cls, body: Fields) -> Scrolling:
        """Raises Refusal 400, or 422 for a limit of 0; FilterError."""
        body.only(_SCROLL_KEYS).refuse(shard_key=SHARDS)
        offset, order_by = body.get("offset"), body.get("order_by")
        if order_by is not None and offset is not None:
            raise wrong_input("Cannot use an offset together with order_by; use `start_from` to go on")
        return cls(
            body.unsigned("limit", DEFAULT_LIMIT, least=1),
            None if offset is None else point_id(offset),
            parse_filter(body),
            order_by,
            PayloadSelector.parse(body.get("with_payload"), body.path("with_payload"), default=True),
            parse_vectors_wanted(body),
        )


def check_number(field: str, n: int, most: int) -> None:
    """Refuse a list that is longer than the service takes at once. Raises Refusal 422."""
    if n > most:
        raise validation_error(field, f"length {n} invalid, must be at most {most}")


def parse_count(body: Fields) -> Any:
    """The filter of a count; every count is exact. Raises Refusal 400, FilterError."""
    body.only(("filter", "exact", "shard_key")).refuse(shard_key=SHARDS)
    body.boolean("exact", True)
    return parse_filter(body)


def parse_filter(body: Fields, key: str = "filter") -> Any:
    """The filter of a body as the engine takes it, None where it lets everything pass. Raises FilterError."""
    given = body.fields(key)
    if given is None:
        return None
    asked = bare.parse_filter(given.value)
    return asked if any(value not in (None, []) for value in given.value.values()) else None


def parse_vectors_wanted(body: Fields) -> Wanted:
    """`with_vector`, or its newer spelling `with_vectors`."""
    key = "with_vectors" if body.get("with_vector") is None else "with_vector"
    return parse_vector_selector(body.get(key), body.path(key))


def check_depth(payloads: list[dict[str, Any] | None]) -> None:
    """Refuse payloads nested deeper than can be printed again. Raises Refusal 400."""
    level: list[Any] = [payload for payload in payloads if payload]
    for _ in range(PAYLOAD_DEPTH):
        level = [
            child
            for value in level
            for child in (value.values() if type(value) is dict else value)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise format_error(f"recursion limit exceeded: a payload is nested more than {PAYLOAD_DEPTH} levels deep")


def parse_page_size(body: Fields) -> tuple[int, int]:
    """`limit` and `offset` of a query, as numbers of points. Raises Refusal 422 for a limit of 0."""
    offset = body.get("offset")
    start = 0 if offset is None else unsigned(offset, body.path("offset"))
    return body.unsigned("limit", DEFAULT_LIMIT, least=1), start


def _of_batch(given: object, place: str, shape: Shape, n: int) -> Matrix | Columns:
    """The vectors of a batch, one list for each name."""
    if not shape.has_names:
        plain = unnamed_vectors(given, place)
        if len(plain) != n:
            _refuse_unequal("vectors", n, len(plain))
        return shape.rows(plain, "batch.vectors[{}]")
    columns: Columns = {}
    for name, vectors in named_vectors(given, place).items():
        if not isinstance(vectors, list):
            raise format_error(f"{place}.{name}: invalid type: a sparse vector, expected a list of them")
        if len(vectors) != n:
            _refuse_unequal("vectors", n, len(vectors))
        columns[name] = shape.column(name, vectors, f"{place}.{name}")
    return columns


def _payload(value: object, place: str) -> dict[str, Any] | None:
    if value is None or isinstance(value, dict):
        bare.refuse_mark(value, place)
        return value
    raise format_error(f"{place}: invalid type: {kind_of(value)}, expected an object")


def _refuse_unequal(what: str, ids: int, others: int) -> None:
    raise validation_error("batch", f"number of ids and {what} must be equal ({ids} != {others})")
