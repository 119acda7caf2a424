"""What an index says of a condition: rows for which it surely holds, and rows for which it may."""

import math
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from pyroaring import BitMap

from pqdb.query.areas import Area, inside, ranges_of
from pqdb.query.bitmaps import bitmap_of
from pqdb.query.conditions import Predicate
from pqdb.query.counting import IsEmpty, SomeEmpty, SomeNull, ValuesCount
from pqdb.query.entries import (
    CUT,
    NULL,
    ODD,
    OTHER,
    PRESENT,
    SEVERAL,
    SOME,
    VALUE,
    bool_key,
    is_cut,
    is_whole,
    string_key,
    uuid_key,
)
from pqdb.query.geo import GeoBox, GeoPolygon, GeoRadius
from pqdb.query.index import Index, union
from pqdb.query.matching import MatchAny, MatchExcept, MatchPrefix, MatchSubstring, MatchValue
from pqdb.query.ordering import LEAST_INTEGER, MOST_INTEGER, of_float, of_integer, to_places
from pqdb.query.ranges import Bounds, Number, NumberRange, TimeRange
from pqdb.query.text import MatchPhrase, MatchText, MatchTextAny


class Found(NamedTuple):
    """Rows for which a condition holds, and others for which it may: all the rest fail it."""

    sure: BitMap
    maybe: BitMap


def surely(rows: BitMap) -> Found:
    """These rows and no others."""
    return Found(rows, BitMap())


# -- any kind: what there is


def _is_empty(index: Index, _: IsEmpty) -> Found:
    return surely(index.live - index.rows(PRESENT))


def _some_empty(index: Index, predicate: SomeEmpty) -> Found:
    present = index.rows(PRESENT)
    if not predicate.wanted:
        return surely(present)
    return Found(index.live - present, present if ... in index.path.steps else BitMap())


def _some_null(index: Index, predicate: SomeNull) -> Found:
    null = index.rows(NULL)
    if predicate.wanted:
        return surely(null)
    return Found(index.live - null, null if ... in index.path.steps else BitMap())


def _count(index: Index, predicate: ValuesCount) -> Found:
    """Without values, or with nothing but null, the count is 0."""
    some = index.rows(PRESENT)
    nothing = index.live - some if predicate.bounds.hold(0) else BitMap()
    return Found(nothing, some)


# -- keyword, uuid, bool


def _keyword_value(index: Index, predicate: MatchValue) -> Found | None:
    return surely(index.rows(string_key(predicate.value))) if isinstance(predicate.value, str) else None


def _keyword_any(index: Index, predicate: MatchAny) -> Found | None:
    texts = _all_strings(predicate.options)
    return None if texts is None else surely(index.any_of(map(string_key, texts)))


def _keyword_except(index: Index, predicate: MatchExcept) -> Found | None:
    texts = _all_strings(predicate.options)
    return None if texts is None else _all_but(index, index.any_of(map(string_key, texts)))


def _all_but(index: Index, hit: BitMap) -> Found:
    """A row fails if all its elements that are not null are hit; where one of several is, it may be either."""
    other = index.rows(OTHER)
    sure = other | (index.rows(SOME) - hit)
    return Found(sure, (hit & index.rows(SEVERAL)) - sure)


def _keyword_prefix(index: Index, predicate: MatchPrefix) -> Found:
    raw = predicate.prefix.encode("utf-8", "surrogatepass")
    pieces = index.pieces(VALUE + raw[:CUT])
    rows = union([rows for _, rows in pieces])
    return surely(rows) if len(raw) <= CUT else Found(BitMap(), rows)


def _keyword_substring(index: Index, predicate: MatchSubstring) -> Found:
    raw = predicate.substring.encode("utf-8", "surrogatepass")
    sure, maybe = [], []
    for key, rows in index.pieces(VALUE):
        if is_cut(key):
            maybe.append(rows)
        elif raw in key[len(VALUE) :]:
            sure.append(rows)
    certain = union(sure)
    return Found(certain, union(maybe) - certain)


def _uuid_value(index: Index, predicate: MatchValue) -> Found | None:
    value = predicate.value
    return _uuid_any(index, MatchAny(frozenset({value}))) if isinstance(value, str) else None


def _uuid_any(index: Index, predicate: MatchAny) -> Found | None:
    texts = _all_strings(predicate.options)
    if texts is None:
        return None
    keys = list(map(uuid_key, texts))
    sure = index.any_of(key for key in keys if key is not None)
    return Found(sure, index.rows(ODD) - sure if None in keys else BitMap())


def _bool_value(index: Index, predicate: MatchValue) -> Found | None:
    return surely(index.rows(bool_key(predicate.value))) if isinstance(predicate.value, bool) else None


# -- integer, float, datetime


def _integer_value(index: Index, predicate: MatchValue) -> Found | None:
    return _integer_any(index, MatchAny(frozenset({int(predicate.value)}))) if predicate.kind is int else None


def _integer_any(index: Index, predicate: MatchAny) -> Found | None:
    numbers = _all_integers(predicate.options)
    if numbers is None:
        return None
    keys = [of_integer(number) for number in numbers if is_whole(number)]
    sure = union([index.between(key, key) for key in keys])
    return Found(sure, index.rows(ODD) - sure if len(keys) < len(numbers) else BitMap())


def _integer_except(index: Index, predicate: MatchExcept) -> Found | None:
    if not all(map(is_whole, predicate.options)):
        return None
    hits = _integer_any(index, MatchAny(predicate.options))
    return None if hits is None else _all_but(index, hits.sure)


def _integer_range(index: Index, predicate: NumberRange) -> Found:
    low, high = whole_ends(predicate.bounds)
    sure = index.between(of_integer(low), of_integer(high)) if low <= high else BitMap()
    return Found(sure, index.rows(ODD) - sure)


def _float_range(index: Index, predicate: NumberRange) -> Found:
    sure = index.between(*float_ends(predicate.bounds))
    return Found(sure, index.rows(ODD) - sure)


def _time_range(index: Index, predicate: TimeRange) -> Found:
    low, high = whole_ends(predicate.bounds)
    return surely(index.between(of_integer(low), of_integer(high)) if low <= high else BitMap())


# -- text


def _text_any(index: Index, predicate: MatchTextAny) -> Found:
    return surely(index.any_of(map(string_key, predicate.words)))


def _text_all(index: Index, predicate: MatchText) -> Found:
    rows = index.all_of(map(string_key, predicate.words))
    if len(predicate.words) < 2:
        return surely(rows)
    several = index.rows(SEVERAL)  # the words may stand in different strings
    return Found(rows - several, rows & several)


def _phrase(index: Index, predicate: MatchPhrase) -> Found:
    rows = index.all_of(map(string_key, dict.fromkeys(predicate.words)))
    return surely(rows) if len(predicate.words) < 2 else Found(BitMap(), rows)


# -- geo


def _area(index: Index, area: Area) -> Found:
    parts = [index.span(first, last) for first, last in ranges_of(area)]
    keys = np.concatenate([keys for keys, _ in parts]) if parts else np.zeros(0, np.uint64)
    rows = np.concatenate([rows for _, rows in parts]) if parts else np.zeros(0, np.uint32)
    within, near = inside(area, *to_places(keys))
    sure = bitmap_of(rows[within])
    return Found(sure, bitmap_of(rows[near]) - sure)


def _all_strings(options: Collection[int | str]) -> list[str] | None:
    """The options, if all of them are strings."""
    texts = [option for option in options if isinstance(option, str)]
    return texts if len(texts) == len(options) else None


def _all_integers(options: Collection[int | str]) -> list[int] | None:
    """The options, if all of them are integers."""
    numbers = [option for option in options if isinstance(option, int)]
    return numbers if len(numbers) == len(options) else None


def whole_ends(bounds: Bounds) -> tuple[int, int]:
    """The smallest and the largest 64-bit integer between bounds; where there is none, the smallest is the larger."""
    low, high = LEAST_INTEGER, MOST_INTEGER
    if bounds.low is not None:
        low = max(low, math.ceil(bounds.low) if bounds.low_in else math.floor(bounds.low) + 1)
    if bounds.high is not None:
        high = min(high, math.floor(bounds.high) if bounds.high_in else math.ceil(bounds.high) - 1)
    return low, high


def float_ends(bounds: Bounds) -> tuple[int, int]:
    """Keys of the smallest and the largest float between bounds."""
    low, high = of_float(-math.inf), of_float(math.inf)
    if bounds.low is not None:
        near = _near(bounds.low)
        low = of_float(near) + (near < bounds.low or (near == bounds.low and not bounds.low_in))
    if bounds.high is not None:
        near = _near(bounds.high)
        high = of_float(near) - (near > bounds.high or (near == bounds.high and not bounds.high_in))
    return low, high


def _near(number: Number) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


How = Callable[[Index, Any], Found | None]
_EVERY_KIND: dict[type, How] = {
    IsEmpty: _is_empty,
    SomeEmpty: _some_empty,
    SomeNull: _some_null,
    ValuesCount: _count,
}
_BY_KIND: dict[tuple[str, type], How] = {
    ("keyword", MatchValue): _keyword_value,
    ("keyword", MatchAny): _keyword_any,
    ("keyword", MatchExcept): _keyword_except,
    ("keyword", MatchPrefix): _keyword_prefix,
    ("keyword", MatchSubstring): _keyword_substring,
    ("uuid", MatchValue): _uuid_value,
    ("uuid", MatchAny): _uuid_any,
    ("bool", MatchValue): _bool_value,
    ("integer", MatchValue): _integer_value,
    ("integer", MatchAny): _integer_any,
    ("integer", MatchExcept): _integer_except,
    ("integer", NumberRange): _integer_range,
    ("float", NumberRange): _float_range,
    ("datetime", TimeRange): _time_range,
    ("text", MatchTextAny): _text_any,
    ("text", MatchText): _text_all,
    ("text", MatchPhrase): _phrase,
    ("geo", GeoRadius): _area,
    ("geo", GeoBox): _area,
    ("geo", GeoPolygon): _area,
}


def find(index: Index, predicate: Predicate) -> Found:
    """What an index says of a predicate; at the least, that a row must have something there."""
    how = _EVERY_KIND.get(type(predicate)) or _BY_KIND.get((index.kind, type(predicate)))
    found = None if how is None else how(index, predicate)
    return Found(BitMap(), index.rows(SOME)) if found is None else found
