"""How much is there: number of values, empty, null."""

from dataclasses import dataclass
from typing import Any

from pqdb.query.ranges import Bounds


@dataclass(frozen=True, slots=True)
class ValuesCount:
    """Some value has so many elements: an array as many as it is long, null none, all else one."""

    bounds: Bounds

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path; nothing there counts as 0."""
        return any(map(self.bounds.hold, map(_count, values))) if values else self.bounds.hold(0)


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """There is nothing, or nothing but nulls and empty arrays."""

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return all(map(is_empty, values))


@dataclass(frozen=True, slots=True)
class SomeEmpty:
    """Some value is empty, as missing ones are (`wanted`), or some is not: both, where a path leads to several."""

    wanted: bool

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(is_empty(value) is self.wanted for value in values) if values else self.wanted


@dataclass(frozen=True, slots=True)
class SomeNull:
    """Some value is null, or an array with null in it (`wanted`), or some is not, as missing ones are not."""

    wanted: bool

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        return any(is_null(value) is self.wanted for value in values) if values else not self.wanted


def is_empty(value: Any) -> bool:
    """Whether a value is null or an array of nothing."""
    return value is None or value == []


def is_null(value: Any) -> bool:
    """Whether a value is null, or an array that holds null."""
    return value is None or (isinstance(value, list) and None in value)


def _count(value: Any) -> int:
    if value is None:
        return 0
    return len(value) if isinstance(value, list) else 1
