"""The nearest hits of each of several groups: chunks by their document."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pqdb.config import MAX_K
from pqdb.hits import Hit
from pqdb.query.conditions import Field, Filter
from pqdb.query.matching import MatchExcept, MatchValue
from pqdb.query.path import Path, elements

Find = Callable[[int, Filter | None], Sequence[Hit]]
"""The k nearest hits, with payloads, of all that may be found, or of those that pass another filter as well."""
Name = tuple[type, int | str]  # with its type: 1 and True are equal in Python, and true is no group


@dataclass(frozen=True)
class Grouping:
    """By the strings and integers at a path; a point with several is in several groups, one without in none."""

    path: Path
    limit: int
    size: int
    indexed: bool  # whether an index knows the groups: then a filter by group costs little

    def find(self, find: Find, most: int) -> list[tuple[int | str, list[Hit]]]:
        """Up to `limit` groups, the one with the nearest hit first, each with its `size` nearest hits or all it has.

        most: how many points may be found at all.
        """
        groups, all_seen = self._at_once(find, most)
        if not all_seen:
            self._find_more(find, groups)
            for name in list(groups)[: self.limit]:
                if len(groups[name]) < self.size:
                    groups[name] = list(find(self.size, _only(self.path, name)))
        return [(name[1], hits[: self.size]) for name, hits in list(groups.items())[: self.limit]]

    def _at_once(self, find: Find, most: int) -> tuple[dict[Name, list[Hit]], bool]:
        """Groups of the nearest hits, ever more of them; and whether more would change nothing."""
        k = min(2 * self.limit * self.size, most, MAX_K)
        while True:
            groups: dict[Name, list[Hit]] = {}
            self._sort(find(k, None), groups)
            first = list(groups.values())[: self.limit]
            if k >= most or (len(first) == self.limit and all(len(hits) >= self.size for hits in first)):
                return groups, True
            if self.indexed or k == MAX_K:
                return groups, False
            k = min(4 * k, most, MAX_K)

    def _find_more(self, find: Find, groups: dict[Name, list[Hit]]) -> None:
        """Groups that were not met yet, until there are `limit` of them or no more."""
        k = self.limit * self.size
        while len(groups) < self.limit:
            found: dict[Name, list[Hit]] = {}
            hits = find(min(k, MAX_K), _others(self.path, groups))
            self._sort(hits, found)
            new = {name: held for name, held in found.items() if name not in groups}
            groups |= new  # (points that are in known ones, too, are not the next nearest of those)
            if not new:  # (points that are in no group, or in known ones too)
                if len(hits) < k or k >= MAX_K:
                    return
                k *= 4

    def _sort(self, hits: Iterable[Hit], groups: dict[Name, list[Hit]]) -> None:
        """Put hits into their groups, new ones behind the known ones."""
        for hit in hits:
            found = [] if hit.payload is None else elements(self.path.values(hit.payload))
            for name in dict.fromkeys((type(element), element) for element in found if type(element) in (str, int)):
                held = groups.setdefault(name, [])
                if len(held) < self.size and all(hit.id != other.id for other in held):
                    held.append(hit)


def _only(path: Path, name: Name) -> Filter:
    return Filter(must=(Field(path, MatchValue.of(name[1])),))


def _others(path: Path, known: Iterable[Name]) -> Filter:
    """Points that have something else than the known groups."""
    texts = frozenset(value for kind, value in known if kind is str and isinstance(value, str))
    numbers = frozenset(value for kind, value in known if kind is int and isinstance(value, int))
    without = [MatchExcept(options) for options in (texts, numbers) if options]
    return Filter(must=tuple(Field(path, predicate) for predicate in without))
