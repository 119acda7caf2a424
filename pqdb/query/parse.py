"""A filter from the JSON that spells it. Whatever is unknown or malformed is an error that names its place."""

import marshal
from collections.abc import Mapping
from typing import Any

import numpy as np

from pqdb.errors import FilterError, FilterRangeError, IdError
from pqdb.query.conditions import Condition, Field, Filter, HasId, HasVector, MinShould, Nested
from pqdb.query.counting import IsEmpty, SomeNull
from pqdb.query.parse_field import parse_predicate
from pqdb.query.path import parse_path
from pqdb.query.shapes import listed, only, plain, shown, table, text
from pqdb.store.ids import id_from_key, id_key

MAX_DEPTH = 50  # filters inside filters
MOST_KEPT, LONGEST_KEPT = 1_000, 10_000  # filters parsed, so that one that is asked again is not; bytes of one
CLAUSES = ("must", "should", "must_not", "min_should")
ALONE = ("is_empty", "is_null", "has_id", "has_vector", "nested")
_parsed: dict[bytes, Filter] = {}  # by its bytes, of which one filter has several: they tell what is shared
_distinct: dict[Filter, Filter] = {}  # so that what is known of one is found without a look into it


def parse_filter(given: object) -> Filter:
    """The filter that a JSON object (dict) says, a key and the value it has: ("file", "a.pdf"), or a Filter as it is.
    Raises FilterError.
    """
    if isinstance(given, Filter):
        return given
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
        given = {"must": {"key": given[0], "match": {"value": plain(given[1])}}}
    try:
        spelled = marshal.dumps(given)  # type: ignore[arg-type]  # what it cannot take raises
    except (ValueError, RecursionError):
        return _filter(given, "filter", 0, False)
    known = _parsed.get(spelled)
    if known is None:
        known = _filter(given, "filter", 0, False)
        if len(_parsed) >= MOST_KEPT:
            _parsed.clear()
            _distinct.clear()
        if len(spelled) <= LONGEST_KEPT and _is_plain(given):
            known = _parsed[spelled] = _distinct.setdefault(known, known)
    return known


def _is_plain(given: object) -> bool:
    """Whether it is made of Python's own values alone, which are never spelled alike. Arrays are, and NumPy's numbers:
    as the bytes they hold, whatever these stand for. (Those of a filter that is kept are never a plain one's, either.)
    """
    if type(given) is dict:
        return all(type(key) is str and _is_plain(value) for key, value in given.items())
    if type(given) in (list, tuple, set, frozenset):
        return all(map(_is_plain, given))  # type: ignore[call-overload]  # one of these
    return given is None or type(given) in (str, int, float, bool)


def _filter(given: object, place: str, depth: int, nested: bool) -> Filter:
    if depth > MAX_DEPTH:
        raise FilterError(f"the filter goes deeper than {MAX_DEPTH} filters inside one another")
    fields = table(given, place)
    if place == "filter" and fields and not fields.keys() & set(CLAUSES):
        _refuse_bare(fields)
    only(fields, CLAUSES, place)

    def conditions(clause: str) -> tuple[Condition, ...]:
        many = fields.get(clause)
        if many is None:
            return ()
        if isinstance(many, Mapping):
            return (_condition(many, f"{place}.{clause}", depth, nested),)
        return _conditions(many, f"{place}.{clause}", depth, nested)

    some = fields.get("min_should")
    return Filter(
        conditions("must"),
        conditions("should"),
        conditions("must_not"),
        None if some is None else _min_should(some, f"{place}.min_should", depth, nested),
    )


def _refuse_bare(fields: Mapping[str, Any]) -> None:
    """A condition, or a key and its value, in place of a filter: say how it would be spelled."""
    if "key" in fields or fields.keys() & set(ALONE):
        raise FilterError('filter is a condition by itself, and conditions stand in clauses: {"must": [{…}]}')
    key, value = next(iter(fields.items()))
    if isinstance(value, str | int | np.generic):
        raise FilterError(
            f"filter has an unknown key {shown(key)}; known here: {', '.join(CLAUSES)}. A value at a key is "
            'asked for by {"must": [{"key": …, "match": {"value": …}}]}'
        )


def _conditions(given: object, place: str, depth: int, nested: bool) -> tuple[Condition, ...]:
    return tuple(
        _condition(each, f"{place}[{number}]", depth, nested) for number, each in enumerate(listed(given, place))
    )


def _min_should(given: object, place: str, depth: int, nested: bool) -> MinShould:
    fields = only(table(given, place), ("conditions", "min_count"), place)
    least = fields.get("min_count")
    if type(least) is not int or least < 1:
        kind = FilterRangeError if type(least) is int else FilterError
        raise kind(f"{place}.min_count is a whole number of at least 1, not {shown(least)}")
    return MinShould(_conditions(fields.get("conditions"), f"{place}.conditions", depth, nested), least)


def _condition(given: object, place: str, depth: int, nested: bool) -> Condition:
    if isinstance(given, Filter):
        return given
    fields = table(given, place)
    if "key" in fields:
        path = parse_path(text(fields["key"], f"{place}.key"))
        return Field(path, parse_predicate(fields, place))
    for kind in ALONE:
        if kind in fields:
            only(fields, (kind,), place)
            return _alone(kind, fields[kind], f"{place}.{kind}", depth, nested)
    return _filter(fields, place, depth + 1, nested)


def _alone(kind: str, given: object, place: str, depth: int, nested: bool) -> Condition:
    """A condition without a predicate."""
    if kind in ("has_id", "has_vector") and nested:
        raise FilterError(f"{place} cannot stand inside nested: an element of an array has no id and no vector")
    if kind == "has_id":
        return HasId(frozenset(_id(each, f"{place}[{number}]") for number, each in enumerate(listed(given, place))))
    if kind == "has_vector":
        return HasVector(text(given, place))
    if kind == "nested":
        fields = only(table(given, place), ("key", "filter"), place)
        path = parse_path(text(fields.get("key"), f"{place}.key")).into_arrays()
        return Nested(path, _filter(fields.get("filter"), f"{place}.filter", depth + 1, True))
    fields = only(table(given, place), ("key",), place)
    path = parse_path(text(fields.get("key"), f"{place}.key"))
    return Field(path, IsEmpty() if kind == "is_empty" else SomeNull(True))


def _id(given: Any, place: str) -> int | str:
    try:
        return id_from_key(id_key(given))
    except IdError as problem:
        raise FilterError(f"{place}: {problem}") from None
