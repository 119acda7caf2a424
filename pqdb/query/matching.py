"""What equals a value: value, any, except, prefix, substring. Types are strict: 1, "1", true and 1.0 are different."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pqdb.query.path import elements

Value = bool | int | str


@dataclass(frozen=True, slots=True)
class MatchValue:
    """Some element is this value."""

    value: Value
    kind: type  # of the value: in Python, True == 1 and hash alike

    @classmethod
    def of(cls, value: Value) -> "MatchValue":
        """With the kind that the value has."""
        return cls(value, type(value))

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        value, kind = self.value, self.kind
        return any(type(element) is kind and element == value for element in elements(values))


@dataclass(frozen=True, slots=True)
class MatchAny:
    """Some element is one of these strings, or integers."""

    options: frozenset[int] | frozenset[str]

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(is_one_of(element, self.options) for element in elements(values))


@dataclass(frozen=True, slots=True)
class MatchExcept:
    """Some element is neither null nor one of these strings, or integers."""

    options: frozenset[int] | frozenset[str]

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(element is not None and not is_one_of(element, self.options) for element in elements(values))


@dataclass(frozen=True, slots=True)
class MatchPrefix:
    """Some element is a string that begins so."""

    prefix: str

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(text.startswith(self.prefix) for text in strings(values))


@dataclass(frozen=True, slots=True)
class MatchSubstring:
    """Some element is a string that holds this one."""

    substring: str

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(self.substring in text for text in strings(values))


def is_one_of(element: Any, options: frozenset[int] | frozenset[str]) -> bool:
    """Whether a value is among strings, or integers."""
    return type(element) in (int, str) and element in options


def strings(values: Iterable[Any]) -> list[str]:
    """The elements that are strings."""
    return [element for element in elements(values) if type(element) is str]
