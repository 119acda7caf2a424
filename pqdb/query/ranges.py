"""Ranges of numbers and of points in time."""

from dataclasses import dataclass
from typing import Any

from pqdb.query.matching import strings
from pqdb.query.path import elements
from pqdb.query.times import microseconds

Number = int | float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between two ends, each of them in or out; None: no end."""

    low: Number | None = None
    low_in: bool = True
    high: Number | None = None
    high_in: bool = True

    @classmethod
    def of(cls, gt: Number | None, gte: Number | None, lt: Number | None, lte: Number | None) -> "Bounds":
        """All four ends at once: the tighter ones count."""
        low, low_in = (gte, True) if gt is None or (gte is not None and gte > gt) else (gt, False)
        high, high_in = (lte, True) if lt is None or (lte is not None and lte < lt) else (lt, False)
        return cls(low, low_in, high, high_in)

    def hold(self, number: Number) -> bool:
        """Whether a number lies between them."""
        low, high = self.low, self.high
        if low is not None and not (number > low or (self.low_in and number == low)):
            return False
        return high is None or number < high or (self.high_in and number == high)


@dataclass(frozen=True, slots=True)
class NumberRange:
    """Some element is a number between the bounds. Integers are compared exactly, however large."""

    bounds: Bounds

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        hold = self.bounds.hold
        return any(type(element) in (int, float) and hold(element) for element in elements(values))


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Some element is a string that names a point in time between the bounds, which are microseconds since 1970."""

    bounds: Bounds

    def holds(self, values: list[Any]) -> bool:
        """Whether it does, of the values at the path."""
        moments = map(microseconds, strings(values))
        return any(moment is not None and self.bounds.hold(moment) for moment in moments)
