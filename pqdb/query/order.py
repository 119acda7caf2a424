"""Points in the order of a value in their payloads."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pqdb.errors import FilterError
from pqdb.query.bitmaps import rows_of
from pqdb.query.definitions import Definition
from pqdb.query.entries import ODD, OTHER, is_exact, is_whole, moment_of
from pqdb.query.index import Index
from pqdb.query.lookup import float_ends, whole_ends
from pqdb.query.ordering import of_float, of_integer
from pqdb.query.path import Path, elements, parse_path
from pqdb.query.ranges import Bounds, Number
from pqdb.query.select import Selection
from pqdb.query.shapes import number, only, shown, table, text
from pqdb.query.times import microseconds
from pqdb.store.view import PointView

KEYS = ("key", "direction", "start_from")
ORDERED = ("integer", "float", "datetime")  # kinds of indexes that have an order
NUMBER, TIME = 0, 1
Rank = tuple[int, Number]  # numbers come before points in time, which are microseconds since 1970


@dataclass(frozen=True, slots=True)
class OrderBy:
    """By the numbers and the points in time at a path; a point with several comes several times, one without never."""

    path: Path
    descending: bool = False
    start: Rank | None = None  # where to begin

    def fits(self, rank: Rank) -> bool:
        """Whether a value comes at the start or behind it."""
        return self.start is None or (rank <= self.start if self.descending else rank >= self.start)


def parse_order(given: object) -> OrderBy:
    """From a key, or {"key": …, "direction": "asc" | "desc", "start_from": number or time}. Raises FilterError."""
    if isinstance(given, str):
        return OrderBy(parse_path(given))
    fields: Mapping[str, Any] = only(table(given, "order_by"), KEYS, "order_by")
    direction = fields.get("direction") or "asc"
    if direction not in ("asc", "desc"):
        raise FilterError(f"order_by.direction is asc or desc, not {shown(direction)}")
    path, start = parse_path(text(fields.get("key"), "order_by.key")), fields.get("start_from")
    rank: Rank | None = None
    if isinstance(start, str):
        moment = microseconds(start)
        if moment is None:
            raise FilterError(f"order_by.start_from is a number or a point in time, not {shown(start)}")
        rank = (TIME, moment)
    elif start is not None:
        rank = (NUMBER, number(start, "order_by.start_from"))
    return OrderBy(path, direction == "desc", rank)


def in_order(
    view: PointView, selection: Selection, order: OrderBy, held: tuple[Definition, ...], limit: int
) -> list[tuple[Any, int]]:
    """The first `limit` (value, row) of the rows selected; equal values in the order they were written. A point in time
    has its microseconds since 1970 for a value.
    """
    for definition in held:
        if definition.path == order.path and definition.kind in ORDERED:
            if definition.kind == "datetime" and order.start is not None:
                order = replace(order, start=(TIME, order.start[1]))  # where there are only times, a number is one
            index = Index(view.tables, definition, selection.rows)
            if not (index.rows(OTHER) | index.rows(ODD)) & selection.rows:  # else it does not hold all there is
                return _by_index(view, index, order, limit)
    return _looked_at(view, selection, order, limit)


def _by_index(view: PointView, index: Index, order: OrderBy, limit: int) -> list[tuple[Any, int]]:
    found: list[tuple[Any, int]] = []
    low, high = _ends(index, order)
    for key, row in index.in_order(low, high, order.descending) if low <= high else ():
        if row in index.live:
            found.append((_value_of(view, index, key, row), row))
            if len(found) == limit:
                break
    return found


def _ends(index: Index, order: OrderBy) -> tuple[int, int]:
    """The least and the largest key that fit."""
    kind = TIME if index.kind == "datetime" else NUMBER
    bounds = Bounds()
    if order.start is not None and order.start[0] == kind:
        bounds = Bounds(high=order.start[1]) if order.descending else Bounds(low=order.start[1])
    elif order.start is not None and not order.fits((kind, order.start[1])):
        return 1, 0
    if index.kind == "float":
        return float_ends(bounds)
    low, high = whole_ends(bounds)
    return (of_integer(low), of_integer(high)) if low <= high else (1, 0)


def _value_of(view: PointView, index: Index, key: int, row: int) -> Any:
    """The value in the payload that has this key."""
    found = elements(index.path.values(json.loads(view.payload_of(row) or b"{}")))
    element = next(element for element in found if _key_of(index.kind, element) == key)
    return moment_of(element) if index.kind == "datetime" else element


def _key_of(kind: str, element: Any) -> int | None:
    if kind == "integer":
        return of_integer(element) if is_whole(element) else None
    if kind == "float":
        return of_float(element) if type(element) in (int, float) and is_exact(element) else None
    moment = moment_of(element)
    return None if moment is None else of_integer(moment)


def _looked_at(view: PointView, selection: Selection, order: OrderBy, limit: int) -> list[tuple[Any, int]]:
    ranked = sorted(_ranked(view, selection, order), reverse=order.descending)
    return [(value, row) for (_, value), row in ranked[:limit]]


def _ranked(view: PointView, selection: Selection, order: OrderBy) -> Iterator[tuple[Rank, int]]:
    """(rank, row) of every value that fits; equal ones of a point once."""
    rows = rows_of(selection.rows)
    for row, raw in zip(rows.tolist(), view.payloads_of(rows), strict=True):
        found = [] if raw is None else elements(order.path.values(json.loads(raw)))
        for rank in dict.fromkeys(map(_rank_of, found)):
            if rank is not None and order.fits(rank):
                yield rank, row


def _rank_of(element: Any) -> Rank | None:
    if type(element) in (int, float):
        return NUMBER, element
    moment = moment_of(element)
    return None if moment is None else (TIME, moment)
