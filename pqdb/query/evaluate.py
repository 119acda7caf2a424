"""Does a point pass? The plain answer, one point at a time; indexes must agree with it."""

from typing import Any

from pqdb.query.conditions import Condition, Field, Filter, HasId, HasVector, Nested

NOTHING: dict[str, Any] = {}
UNNAMED = frozenset({""})
Named = tuple[int | str | None, frozenset[str]]  # what a payload does not tell of a point: its id, its vectors' names


def passes(
    filter: Filter, payload: dict[str, Any] | None, id: int | str | None = None, vectors: frozenset[str] = UNNAMED
) -> bool:
    """Whether a point of this id (canonical) and payload passes, which has vectors of these names."""
    return _passes(filter, NOTHING if payload is None else payload, (id, vectors))


def holds(condition: Condition, payload: dict[str, Any], point: Named) -> bool:
    """Whether one condition holds."""
    if isinstance(condition, Field):
        return condition.predicate.holds(condition.path.values(payload))
    if isinstance(condition, Filter):
        return _passes(condition, payload, point)
    if isinstance(condition, Nested):
        objects = (value for value in condition.path.values(payload) if isinstance(value, dict))
        return any(_passes(condition.filter, value, (None, UNNAMED)) for value in objects)
    if isinstance(condition, HasId):
        return point[0] in condition.ids
    assert isinstance(condition, HasVector)
    return condition.name in point[1]


def _passes(filter: Filter, payload: dict[str, Any], point: Named) -> bool:
    if not all(holds(condition, payload, point) for condition in filter.must):
        return False
    if any(holds(condition, payload, point) for condition in filter.must_not):
        return False
    if filter.should and not any(holds(condition, payload, point) for condition in filter.should):
        return False
    some = filter.min_should
    return some is None or sum(holds(condition, payload, point) for condition in some.conditions) >= some.least
