"""What a payload puts into an index: keys under which its row is found again.

Every kind of index marks the same things (MARKS below); what else there is, each kind decides. Two rules hold for all:
a row stands under a key exactly if a plain look at its payload says so, and what a kind cannot express it marks ODD, so
that such rows are looked at.
"""

import hashlib
import math
import uuid
from collections.abc import Callable
from typing import Any, Literal, get_args

from pqdb.query.counting import is_empty, is_null
from pqdb.query.geo import places
from pqdb.query.matching import strings
from pqdb.query.ordering import LEAST_INTEGER, MOST_INTEGER, of_float, of_integer, of_place
from pqdb.query.path import elements
from pqdb.query.ranges import Number
from pqdb.query.text import EVERY_WORD, Counting
from pqdb.query.times import microseconds

Kind = Literal["keyword", "integer", "float", "bool", "datetime", "uuid", "geo", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PRESENT = b"p"  # some value is not empty
NULL = b"n"  # some value is null, or an array that holds null
SOME = b"e"  # some element is not null
SEVERAL = b"s"  # more than one element is not null (text: is a string)
OTHER = b"o"  # some element is neither null nor of the index's kind
ODD = b"x"  # some element may concern the index's predicates, but has no key
MARKS = (PRESENT, NULL, SOME, SEVERAL, OTHER, ODD)
VALUE = b"="  # and a value behind it

LONG = 400  # bytes of a key: longer strings are cut and hashed
CUT = 384

Key = bytes | int


def keys_of(kind: Kind, values: list[Any], counting: Counting = EVERY_WORD) -> set[Key]:
    """The keys of the values at the index's path. counting: how words are cut."""
    keys = _text(values, counting) if kind == "text" else _keys_of[kind](values)
    there = [element for element in elements(values) if element is not None]
    if there:
        keys.add(SOME)
        if kind != "text" and len(there) > 1:
            keys.add(SEVERAL)
    if not all(map(is_empty, values)):
        keys.add(PRESENT)
    if any(map(is_null, values)):
        keys.add(NULL)
    return keys


def string_key(text: str) -> bytes:
    """The key of a string: itself in UTF-8, or its beginning and a hash."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) < LONG:
        return VALUE + raw
    return VALUE + raw[:CUT] + hashlib.blake2b(raw, digest_size=LONG - CUT).digest()


def is_cut(key: bytes) -> bool:
    """Whether a key is one of a string that was too long."""
    return len(key) == len(VALUE) + LONG


def uuid_key(text: str) -> bytes | None:
    """The key of a UUID in its canonical spelling, None for any other string."""
    if len(text) != 36:
        return None
    try:
        found = uuid.UUID(text)
    except ValueError:
        return None
    return VALUE + found.bytes if str(found) == text else None


def bool_key(flag: bool) -> bytes:
    """The key of true or false."""
    return VALUE + (b"1" if flag else b"0")


def is_whole(element: Any) -> bool:
    """Whether an element is an integer that an index of integers has a key for."""
    return type(element) is int and LEAST_INTEGER <= element <= MOST_INTEGER


def is_exact(number: Number) -> bool:
    """Whether a number is the same as a float."""
    try:
        return math.isfinite(number) and float(number) == number
    except OverflowError:
        return False


def moment_of(element: Any) -> int | None:
    """Microseconds since 1970 of a string that names a point in time, None for anything else."""
    return microseconds(element) if type(element) is str else None


def _keyword(values: list[Any]) -> set[Key]:
    keys: set[Key] = set(map(string_key, strings(values)))
    return keys | _others(values, lambda element: type(element) is str)


def _integer(values: list[Any]) -> set[Key]:
    keys: set[Key] = {of_integer(element) for element in elements(values) if is_whole(element)}
    if any(type(element) in (int, float) and not is_whole(element) for element in elements(values)):
        keys.add(ODD)
    return keys | _others(values, is_whole)


def _float(values: list[Any]) -> set[Key]:
    numbers = [element for element in elements(values) if type(element) in (int, float)]
    keys: set[Key] = {of_float(number) for number in numbers if is_exact(number)}
    if not all(map(is_exact, numbers)):
        keys.add(ODD)
    return keys | _others(values, lambda element: type(element) in (int, float))


def _bool(values: list[Any]) -> set[Key]:
    keys: set[Key] = {bool_key(element) for element in elements(values) if type(element) is bool}
    return keys | _others(values, lambda element: type(element) is bool)


def _datetime(values: list[Any]) -> set[Key]:
    moments = list(map(moment_of, elements(values)))
    keys: set[Key] = {of_integer(moment) for moment in moments if moment is not None}
    return keys | _others(values, lambda element: moment_of(element) is not None)


def _uuid(values: list[Any]) -> set[Key]:
    return {ODD if key is None else key for key in map(uuid_key, strings(values))}


def _geo(values: list[Any]) -> set[Key]:
    return {of_place(*place) for place in places(values)}


def _text(values: list[Any], counting: Counting) -> set[Key]:
    texts = strings(values)
    keys: set[Key] = {string_key(word) for text in texts for word in counting.every_word(text)}
    return keys | {SEVERAL} if len(texts) > 1 else keys


def _others(values: list[Any], fits: Callable[[Any], bool]) -> set[Key]:
    there = any(element is not None and not fits(element) for element in elements(values))
    return {OTHER} if there else set()


_keys_of: dict[Kind, Callable[[list[Any]], set[Key]]] = {
    "keyword": _keyword,
    "integer": _integer,
    "float": _float,
    "bool": _bool,
    "datetime": _datetime,
    "uuid": _uuid,
    "geo": _geo,
}
