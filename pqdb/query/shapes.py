"""The shapes of JSON that a filter is made of, checked; each refusal names the place."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from pqdb.errors import FilterError


def table(given: object, place: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(given, Mapping):
        raise FilterError(f"{place} is an object, not {shown(given)}")
    for key in given:
        if not isinstance(key, str):
            raise FilterError(f"{place} has keys that are strings, not {shown(key)}")
    return given


def only(fields: Mapping[str, Any], known: Sequence[str], place: str) -> Mapping[str, Any]:
    """The same object, if it has no other keys than these."""
    for key in fields:
        if key not in known:
            raise FilterError(f"{place} has an unknown key {shown(key)}; known here: {', '.join(known)}")
    return fields


def listed(given: object, place: str) -> list[Any]:
    """An array."""
    if isinstance(given, np.ndarray):
        return list(given.tolist())
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence | AbstractSet):
        raise FilterError(f"{place} is an array, not {shown(given)}")
    return list(given)


def text(given: object, place: str) -> str:
    """A string."""
    if not isinstance(given, str):
        raise FilterError(f"{place} is a string, not {shown(given)}")
    return given


def flag(given: object, place: str) -> bool:
    """True or false."""
    if not isinstance(given, bool):
        raise FilterError(f"{place} is true or false, not {shown(given)}")
    return given


def number(given: object, place: str) -> int | float:
    """A finite number."""
    given = plain(given)
    if type(given) is int or (type(given) is float and math.isfinite(given)):
        return given
    raise FilterError(f"{place} is a number, not {shown(given)}")


def plain(value: object) -> object:
    """A scalar of NumPy's as Python's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def shown(value: object) -> str:
    """A value for a sentence, cut short."""
    spelled = repr(value)
    return spelled if len(spelled) <= 60 else spelled[:57] + "…"
