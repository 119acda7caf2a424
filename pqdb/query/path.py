"""Where in a payload: `a.b`, `a[].b`, `a[0].b`, and keys in quotes that hold dots."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from types import EllipsisType
from typing import Any

from pqdb.errors import FilterError

MAX_KEY = 1_000  # characters of a path as written
MAX_INDEX = (1 << 31) - 1
Step = str | int | EllipsisType  # key of an object, place in an array, every place of an array

_KEY = re.compile(r'(?:(?P<bare>[\w\-]+)|"(?P<quoted>[^"\\]*)")(?P<places>(?:\[\d*\])*)')
_PLACE = re.compile(r"\[(\d*)\]")


@dataclass(frozen=True, slots=True)
class Path:
    """Steps into a payload, from its top. Two spellings of one path are equal."""

    steps: tuple[Step, ...]
    text: str = field(compare=False)  # as it was written

    def values(self, payload: dict[str, Any]) -> list[Any]:
        """What lies there: one value, several where the path goes through arrays, none where nothing does."""
        here: list[Any] = [payload]
        for step in self.steps:
            if isinstance(step, str):
                here = [value[step] for value in here if isinstance(value, dict) and step in value]
            elif isinstance(step, int):
                here = [value[step] for value in here if isinstance(value, list) and step < len(value)]
            else:
                here = [element for value in here if isinstance(value, list) for element in value]
        return here

    def into_arrays(self) -> "Path":
        """The same path, ending in every element of an array."""
        return self if self.steps[-1] is ... else Path((*self.steps, ...), f"{self.text}[]")

    def __str__(self) -> str:
        return self.text


def elements(values: Iterable[Any]) -> list[Any]:
    """Values with arrays opened, one level: what a predicate is asked about."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, list):
            found += value
        else:
            found.append(value)
    return found


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """The path of a key. Raises FilterError for one that is malformed."""
    if len(text) > MAX_KEY:
        raise FilterError(f"a key has at most {MAX_KEY:,} characters, not {len(text):,}")
    steps: list[Step] = []
    at = 0
    while True:
        match = _KEY.match(text, at)
        if match is None:
            raise _malformed(text, at)
        quoted = match["quoted"]
        steps.append(match["bare"] if quoted is None else quoted)
        for place in _PLACE.findall(match["places"]):
            if place and int(place) > MAX_INDEX:
                raise FilterError(f"key {text!r} is malformed: {place} is no place in an array")
            steps.append(int(place) if place else ...)
        at = match.end()
        if at == len(text):
            return Path(tuple(steps), text)
        if text[at] != ".":
            raise _malformed(text, at)
        at += 1


def _malformed(text: str, at: int) -> FilterError:
    where = f"at {text[at:]!r}" if at < len(text) else "at its end"
    return FilterError(
        f'key {text!r} is malformed {where}: keys are letters, digits, "_" and "-", or anything in double quotes '
        'but quotes and backslashes; parts are joined by ".", and "[]" or "[3]" steps into an array'
    )
