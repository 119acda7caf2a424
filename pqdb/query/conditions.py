"""A filter as a value: clauses, and the conditions in them. Frozen, compared by what they say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pqdb.query.counting import IsEmpty, SomeEmpty, SomeNull, ValuesCount
from pqdb.query.geo import GeoBox, GeoPolygon, GeoRadius
from pqdb.query.matching import MatchAny, MatchExcept, MatchPrefix, MatchSubstring, MatchValue
from pqdb.query.path import Path, Step
from pqdb.query.ranges import NumberRange, TimeRange
from pqdb.query.text import Counting, MatchPhrase, MatchText, MatchTextAny
from pqdb.store.ids import id_from_key, id_key

Predicate = (
    MatchValue
    | MatchAny
    | MatchExcept
    | MatchPrefix
    | MatchSubstring
    | MatchText
    | MatchTextAny
    | MatchPhrase
    | NumberRange
    | TimeRange
    | GeoRadius
    | GeoBox
    | GeoPolygon
    | ValuesCount
    | IsEmpty
    | SomeEmpty
    | SomeNull
)


@dataclass(frozen=True, slots=True)
class Field:
    """What lies at a path satisfies a predicate."""

    path: Path
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class HasId:
    """The point has one of these ids, in canonical form."""

    ids: frozenset[int | str]


@dataclass(frozen=True, slots=True)
class HasVector:
    """The point has a vector of this name; "" is the one without a name, which every point has."""

    name: str


@dataclass(frozen=True, slots=True)
class Nested:
    """One element of an array, an object, passes a filter all by itself. `path` ends in every element."""

    path: Path
    filter: "Filter"


@dataclass(frozen=True, slots=True)
class MinShould:
    """So many of the conditions hold."""

    conditions: tuple["Condition", ...]
    least: int


@dataclass(frozen=True)
class Filter:
    """All of `must`, one of `should`, none of `must_not`, enough of `min_should`; what is empty asks for nothing."""

    must: tuple["Condition", ...] = ()
    should: tuple["Condition", ...] = ()
    must_not: tuple["Condition", ...] = ()
    min_should: MinShould | None = None

    @property
    def asks_nothing(self) -> bool:
        """Whether every point passes."""
        return not (self.must or self.should or self.must_not or self.min_should)

    @property
    def lets_all_pass(self) -> bool:
        """Whether every point passes, also by filters inside it that ask for nothing."""

        def passes_all(condition: "Condition") -> bool:
            return isinstance(condition, Filter) and condition.lets_all_pass

        any_should = not self.should or any(map(passes_all, self.should))
        return all(map(passes_all, self.must)) and any_should and not (self.must_not or self.min_should)

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_hash"}  # words hash anew in each process

    @cached_property
    def _hash(self) -> int:
        """Kept: a filter is looked up at every search, and may list a thousand words."""
        return hash((self.must, self.should, self.must_not, self.min_should))


Condition = Field | HasId | HasVector | Nested | Filter


def count_named(condition: Condition) -> int:
    """How many values a condition names: ids, options, and one for whatever else it asks."""
    if isinstance(condition, HasId):
        return len(condition.ids)
    if isinstance(condition, Nested):
        return count_named(condition.filter)
    if isinstance(condition, Filter):
        some = () if condition.min_should is None else condition.min_should.conditions
        return sum(map(count_named, (*condition.must, *condition.should, *condition.must_not, *some)))
    asked = condition.predicate if isinstance(condition, Field) else None
    return len(asked.options) if isinstance(asked, MatchAny | MatchExcept) else 1


def but_not(filter: Filter | None, ids: Iterable[int | str]) -> Filter:
    """A filter, or every point, less the points of some ids. Raises IdError."""
    gone = HasId(frozenset(id_from_key(id_key(name)) for name in ids))
    return Filter(must=() if filter is None else (filter,), must_not=(gone,))


def within(filter: Filter, counting: Mapping[Path, Counting]) -> Filter:
    """A filter that asks for no words but those that count at these paths."""
    return _within(filter, counting, ()) if counting else filter


def _within(filter: Filter, counting: Mapping[Path, Counting], above: tuple[Step, ...]) -> Filter:
    """`above`: the steps to the object that is filtered."""

    def each(condition: Condition) -> Condition:
        if isinstance(condition, Filter):
            return _within(condition, counting, above)
        if isinstance(condition, Nested):
            steps = (*above, *condition.path.steps)
            return replace(condition, filter=_within(condition.filter, counting, steps))
        if isinstance(condition, Field) and isinstance(condition.predicate, MatchText | MatchTextAny | MatchPhrase):
            known = counting.get(Path((*above, *condition.path.steps), ""))
            asked = condition.predicate
            return condition if known is None else replace(condition, predicate=asked.of(asked.asked, known))
        return condition

    some = filter.min_should
    return Filter(
        tuple(map(each, filter.must)),
        tuple(map(each, filter.should)),
        tuple(map(each, filter.must_not)),
        None if some is None else replace(some, conditions=tuple(map(each, some.conditions))),
    )
