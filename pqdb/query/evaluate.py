"""Does a point pass? The plain answer, one point at a time; indexes must agree with it."""

from typing import Any

from pqdb.query.conditions import Condition, Field, Filter, HasId, HasVector, Nested

NOTHING: dict[str, Any] = {}


def passes(filter: Filter, payload: dict[str, Any] | None, id: int | str | None = None) -> bool:
    """Whether a point of this id (canonical) and payload passes."""
    return _passes(filter, NOTHING if payload is None else payload, id)


def holds(condition: Condition, payload: dict[str, Any], id: int | str | None) -> bool:
    """Whether one condition holds."""
    if isinstance(condition, Field):
        return condition.predicate.holds(condition.path.values(payload))
    if isinstance(condition, Filter):
        return _passes(condition, payload, id)
    if isinstance(condition, Nested):
        objects = (value for value in condition.path.values(payload) if isinstance(value, dict))
        return any(_passes(condition.filter, value, None) for value in objects)
    if isinstance(condition, HasId):
        return id in condition.ids
    assert isinstance(condition, HasVector)
    return condition.name == ""


def _passes(filter: Filter, payload: dict[str, Any], id: int | str | None) -> bool:
    if not all(holds(condition, payload, id) for condition in filter.must):
        return False
    if any(holds(condition, payload, id) for condition in filter.must_not):
        return False
    if filter.should and not any(holds(condition, payload, id) for condition in filter.should):
        return False
    some = filter.min_should
    return some is None or sum(holds(condition, payload, id) for condition in some.conditions) >= some.least
