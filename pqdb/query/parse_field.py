"""The predicate of a field condition from its JSON: match, range, geo_…, values_count, is_empty, is_null."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from pqdb.errors import FilterError, FilterRangeError
from pqdb.query.conditions import Predicate
from pqdb.query.counting import SomeEmpty, SomeNull, ValuesCount
from pqdb.query.geo import GeoBox, GeoPolygon, GeoRadius, Place, place_of
from pqdb.query.matching import MatchAny, MatchExcept, MatchPrefix, MatchSubstring, MatchValue
from pqdb.query.ranges import Bounds, NumberRange, TimeRange
from pqdb.query.shapes import flag, listed, number, only, plain, shown, table, text
from pqdb.query.text import MatchPhrase, MatchText, MatchTextAny
from pqdb.query.times import microseconds

ENDS = ("gt", "gte", "lt", "lte")
LEAST_RING = 4


def parse_predicate(fields: Mapping[str, Any], place: str) -> Predicate:
    """The one predicate beside `key`. Raises FilterError for none, for several and for unknown ones."""
    only(fields, ("key", *_PREDICATES), place)
    given = [name for name in fields if name != "key" and fields[name] is not None]
    if len(given) != 1:
        said = f"has {', '.join(given)}: give each a condition of its own" if given else "says nothing about its key"
        raise FilterError(f"{place} {said}; a condition has one of {', '.join(_PREDICATES)}")
    return _PREDICATES[given[0]](fields[given[0]], f"{place}.{given[0]}")


def _match(given: object, place: str) -> Predicate:
    fields = only(table(given, place), _MATCHES, place)
    kinds = [name for name in fields if fields[name] is not None]
    if len(kinds) != 1:
        raise FilterError(f"{place} has one of {', '.join(_MATCHES)}, not {', '.join(kinds) or 'none'}")
    kind = kinds[0]
    if kind == "value":
        return _value(fields[kind], f"{place}.value")
    if kind in ("any", "except"):
        options = _options(fields[kind], f"{place}.{kind}")
        return MatchAny(options) if kind == "any" else MatchExcept(options)
    wanted = text(fields[kind], f"{place}.{kind}")
    if kind == "text":
        return MatchText.of(wanted)
    if kind == "text_any":
        return MatchTextAny.of(wanted)
    if kind == "phrase":
        return MatchPhrase.of(wanted)
    return MatchPrefix(wanted) if kind == "prefix" else MatchSubstring(wanted)


def _value(given: object, place: str) -> MatchValue:
    given = plain(given)
    if isinstance(given, bool | str) or type(given) is int:
        return MatchValue.of(given)
    raise FilterError(f"{place} is a string, an integer, true or false, not {shown(given)}")


def _options(given: object, place: str) -> frozenset[int] | frozenset[str]:
    options: list[Any] = [plain(option) for option in listed(given, place)]
    kinds = set(map(type, options))
    if kinds <= {int} or kinds <= {str}:
        return frozenset(options)
    raise FilterError(f"{place} holds either strings or integers, not {shown(options)}")


def _range(given: object, place: str) -> Predicate:
    fields = only(table(given, place), ENDS, place)
    ends = {name: value for name, value in fields.items() if value is not None}
    if not any(isinstance(value, str | date) for value in ends.values()):
        return NumberRange(_bounds({name: number(value, f"{place}.{name}") for name, value in ends.items()}))
    return TimeRange(_bounds({name: _moment(value, f"{place}.{name}") for name, value in ends.items()}))


def _moment(given: object, place: str) -> int:
    given = given.isoformat() if isinstance(given, date) else given  # a datetime is one
    found = microseconds(given) if isinstance(given, str) else None
    if found is None:
        raise FilterError(f"{place} is a point in time as 2026-01-31 or 2026-01-31T12:00:00Z, not {shown(given)}")
    return found


def _bounds(ends: Mapping[str, int | float]) -> Bounds:
    return Bounds.of(ends.get("gt"), ends.get("gte"), ends.get("lt"), ends.get("lte"))


def _values_count(given: object, place: str) -> ValuesCount:
    fields = only(table(given, place), ENDS, place)
    ends = {name: value for name, value in fields.items() if value is not None}
    for name, value in ends.items():
        if type(value) is not int or value < 0:
            raise FilterError(f"{place}.{name} is a whole number of at least 0, not {shown(value)}")
    return ValuesCount(_bounds(ends))


def _radius(given: object, place: str) -> GeoRadius:
    fields = only(table(given, place), ("center", "radius"), place)
    metres = number(fields.get("radius"), f"{place}.radius")
    if metres < 0:
        raise FilterError(f"{place}.radius is at least 0 metres, not {metres}")
    return GeoRadius(_place(fields.get("center"), f"{place}.center"), float(metres))


def _box(given: object, place: str) -> GeoBox:
    fields = only(table(given, place), ("top_left", "bottom_right"), place)
    north, west = _place(fields.get("top_left"), f"{place}.top_left")
    south, east = _place(fields.get("bottom_right"), f"{place}.bottom_right")
    return GeoBox(north, west, south, east)


def _polygon(given: object, place: str) -> GeoPolygon:
    fields = only(table(given, place), ("exterior", "interiors"), place)
    holes = fields.get("interiors")
    return GeoPolygon(
        _ring(fields.get("exterior"), f"{place}.exterior"),
        ()
        if holes is None
        else tuple(_ring(hole, f"{place}.interiors[{i}]") for i, hole in enumerate(listed(holes, place))),
    )


def _ring(given: object, place: str) -> tuple[Place, ...]:
    fields = only(table(given, place), ("points",), place)
    points = listed(fields.get("points"), f"{place}.points")
    ring = tuple(_place(point, f"{place}.points[{i}]") for i, point in enumerate(points))
    if len(ring) < LEAST_RING:
        raise FilterRangeError(
            f"{place} has at least {LEAST_RING} points, the last one the first again, not {len(ring)}"
        )
    if ring[0] != ring[-1]:
        raise FilterRangeError(f"{place} is closed: its last point {ring[-1]} must be its first {ring[0]}")
    return ring


def _place(given: object, place: str) -> Place:
    fields = only(table(given, place), ("lat", "lon"), place)
    for name, most in (("lat", 90), ("lon", 180)):
        degrees = number(fields.get(name), f"{place}.{name}")
        if abs(degrees) > most:
            raise FilterError(f"{place}.{name} lies between -{most} and {most} degrees, not {degrees}")
    found = place_of({"lat": float(fields["lat"]), "lon": float(fields["lon"])})
    assert found is not None
    return found


def _is_empty(given: object, place: str) -> SomeEmpty:
    return SomeEmpty(flag(given, place))


def _is_null(given: object, place: str) -> SomeNull:
    return SomeNull(flag(given, place))


_MATCHES = ("value", "any", "except", "text", "text_any", "phrase", "prefix", "substring")
_PREDICATES: dict[str, Callable[[object, str], Predicate]] = {
    "match": _match,
    "range": _range,
    "geo_radius": _radius,
    "geo_bounding_box": _box,
    "geo_polygon": _polygon,
    "values_count": _values_count,
    "is_empty": _is_empty,
    "is_null": _is_null,
}
