"""A filter that names a tenant: all else it asks is looked for among that tenant's rows.

A tenant has few rows of many. Without this, every other condition of a filter is looked up among the rows of all, and
after each commit a set of all living rows is made first.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyroaring import BitMap

from pqdb.query.bitmaps import bitmap_of, rows_of
from pqdb.query.conditions import Field, Filter
from pqdb.query.definitions import Definition
from pqdb.query.index import Index
from pqdb.query.lookup import find
from pqdb.query.matching import MatchAny, MatchValue
from pqdb.store.layout import bits_at
from pqdb.store.view import PointView


class Tenant(NamedTuple):
    """The rows of a tenant, and the condition that all of them satisfy; None where that is in doubt."""

    rows: BitMap
    condition: Field | None


def tenant_of(view: PointView, held: Sequence[Definition], filter: Filter) -> Tenant | None:
    """The tenant that a filter asks for, or the few it names; None where it names none."""
    kinds = [index for index in held if index.is_tenant]
    if not kinds:
        return None
    for condition in _needed(filter):
        for index in kinds:
            if index.path == condition.path and isinstance(condition.predicate, MatchValue | MatchAny):
                sure, maybe = find(Index(view.tables, index, BitMap()), condition.predicate)
                return Tenant(_alive(view, sure | maybe if maybe else sure), None if maybe else condition)
    return None


def _needed(filter: Filter) -> Iterator[Field]:
    """Conditions without which nothing passes."""
    for condition in filter.must:
        if isinstance(condition, Field):
            yield condition
        elif isinstance(condition, Filter):
            yield from _needed(condition)


def _alive(view: PointView, rows: BitMap) -> BitMap:
    """Those of some points' rows that a view sees: of a named vector's, who has one."""
    if view.sees_every_point:
        return rows
    every = rows_of(rows)
    return bitmap_of(every[bits_at(view.live, every)])
