"""A filter → the rows that pass: indexes first, then a look at the payloads of rows that are still in doubt.

Every condition is a pair of sets, rows for which it surely holds and rows for which it may. They are combined clause by
clause; a condition without an index may hold for every row. What is in doubt in the end is evaluated by its payload.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from pyroaring import BitMap

from pqdb.query.bitmaps import Bits, Rows, bitmap_of, bitmap_of_bits, bits_of, rows_of
from pqdb.query.conditions import Condition, Field, Filter, HasId, HasVector, MinShould, Nested
from pqdb.query.counting import IsEmpty, SomeEmpty, SomeNull, ValuesCount
from pqdb.query.definitions import Definition
from pqdb.query.evaluate import passes
from pqdb.query.index import Index
from pqdb.query.lookup import Found, find, surely
from pqdb.query.path import Path
from pqdb.store.view import PointView

FEW_ROWS, FEW_SHARE = 2_000, 1 / 16
AT_ONCE = 4_096  # payloads held while they are looked at
WITHOUT_VALUES = (IsEmpty, SomeEmpty, SomeNull, ValuesCount)  # may hold where there is nothing at a path


@dataclass(frozen=True, eq=False)
class Selection:
    """The rows that pass a filter, as of one commit."""

    rows: BitMap
    n_rows: int
    scanned: int = 0  # payloads that were looked at
    indexes: tuple[str, ...] = ()  # "lang (keyword)": those that were asked
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)  # what searches make of it, to find it again

    def __len__(self) -> int:
        return self.count

    @cached_property
    def count(self) -> int:
        """How many rows pass."""
        return len(self.rows)

    @property
    def array(self) -> Rows:
        """(count,) uint32, ascending; kept where they are few."""
        known: Rows | None = self.kept.get("array")
        if known is None:
            known = rows_of(self.rows)
            if self.has_few:
                self.kept["array"] = known
        return known

    @property
    def has_few(self) -> bool:
        """Whether its rows may be scored one by one again and again: making their numbers takes far less than scoring
        many of them once.
        """
        return self.count <= max(FEW_ROWS, FEW_SHARE * self.n_rows)

    @cached_property
    def allowed(self) -> Bits:
        """As the search takes it: (ceil(n_rows / 8) + 8,) uint8, bit r & 7 of byte r >> 3."""
        return bits_of(self.rows, self.n_rows)


@dataclass
class Selecting:
    """One filter on its way through a snapshot."""

    view: PointView
    held: Sequence[Definition]
    live: BitMap  # the rows there are, as far as they can pass
    slots: Mapping[str, int]  # of the vectors, by their names
    given: Field | None = None  # a condition that all of them satisfy
    asked: dict[str, None] = field(default_factory=dict)

    def select(self, filter: Filter) -> Selection:
        """The rows that pass."""
        found = self._filter(filter)
        rows = found.sure
        if found.maybe:
            rows = rows | self._looked_at(filter, rows_of(found.maybe))
        return Selection(rows, self.view.n_rows, len(found.maybe), tuple(self.asked))

    def _filter(self, filter: Filter) -> Found:
        every = Found(self.live, BitMap())
        parts = [self._condition(condition) for condition in filter.must]
        parts += [self._without(self._condition(condition)) for condition in filter.must_not]
        if filter.should:
            parts.append(self._at_least(1, filter.should))
        if filter.min_should is not None:
            parts.append(self._enough(filter.min_should))
        return reduce(_both, parts, every)

    def _condition(self, condition: Condition) -> Found:
        if isinstance(condition, Field):
            return self._field(condition)
        if isinstance(condition, Filter):
            return self._filter(condition)
        if isinstance(condition, Nested):
            return self._nested(condition)
        if isinstance(condition, HasId):
            found = map(self.view.row_of, condition.ids)
            return surely(bitmap_of(np.array([row for row in found if row is not None], np.int64)))
        assert isinstance(condition, HasVector)
        return surely(self._having(condition.name))

    def _having(self, name: str) -> BitMap:
        """The rows that have a vector of this name."""
        slot = self.slots.get(name)
        if slot is None:
            return BitMap()
        return bitmap_of_bits(self.view.of_slot(slot).live, self.view.n_rows) & self.live

    def _field(self, condition: Field) -> Found:
        """What the indexes on the path say together."""
        found = Found(BitMap(), self.live)
        for index in self.held:
            if index.path == condition.path and condition == self.given:
                self.asked[f"{index.path} ({index.kind})"] = None
                return surely(self.live)
            if index.path == condition.path:
                self.asked[f"{index.path} ({index.kind})"] = None
                found = _both_say(found, find(Index(self.view.tables, index, self.live), condition.predicate))
        return found

    def _nested(self, condition: Nested) -> Found:
        """No index knows which values stand in one element; but a row that has none of them is out."""
        rows = self.live
        for inner in condition.filter.must:
            if isinstance(inner, Field) and not isinstance(inner.predicate, WITHOUT_VALUES):
                steps = (*condition.path.steps, *inner.path.steps)
                found = self._field(Field(Path(steps, f"{condition.path}.{inner.path}"), inner.predicate))
                rows = rows & (found.sure | found.maybe)
        return Found(BitMap(), rows)

    def _without(self, found: Found) -> Found:
        return Found(self.live - found.sure - found.maybe, found.maybe)

    def _enough(self, some: MinShould) -> Found:
        return self._at_least(some.least, some.conditions)

    def _at_least(self, least: int, conditions: Sequence[Condition]) -> Found:
        """Rows for which so many conditions hold: level by level, one condition after the other."""
        if least > len(conditions):
            return surely(BitMap())
        sure = [self.live] + [BitMap() for _ in range(least)]
        possible = [self.live] + [BitMap() for _ in range(least)]
        for condition in conditions:
            found = self._condition(condition)
            may = found.sure | found.maybe
            for level in range(least, 0, -1):
                sure[level] = sure[level] | (sure[level - 1] & found.sure)
                possible[level] = possible[level] | (possible[level - 1] & may)
        return Found(sure[least], possible[least] - sure[least])

    def _looked_at(self, filter: Filter, rows: Rows) -> BitMap:
        """Those of the rows whose payload passes."""
        by_id, having = _asks_for(HasId, filter), {}
        if _asks_for(HasVector, filter):
            having = {name: self._having(name) for name in self.slots}
        kept: list[int] = []
        for first in range(0, len(rows), AT_ONCE):
            part = rows[first : first + AT_ONCE]
            payloads = self.view.payloads_of(part)
            ids: Sequence[Any] = self.view.ids_of(part) if by_id else [None] * len(part)
            for row, raw, name in zip(part.tolist(), payloads, ids, strict=True):
                vectors = frozenset(each for each, held in having.items() if row in held)
                if passes(filter, None if raw is None else json.loads(raw), name, vectors):
                    kept.append(row)
        return BitMap(kept)


def _both(a: Found, b: Found) -> Found:
    sure = a.sure & b.sure
    return Found(sure, ((a.sure | a.maybe) & (b.sure | b.maybe)) - sure)


def _both_say(a: Found, b: Found) -> Found:
    """Two sources on one condition: what one is sure of counts, and what one rules out is out."""
    sure = a.sure | b.sure
    return Found(sure, ((a.sure | a.maybe) & (b.sure | b.maybe)) - sure)


def _asks_for(kind: type, condition: Condition) -> bool:
    """Whether there is a condition of this kind, which a payload does not tell, somewhere in it."""
    if isinstance(condition, Filter):
        some = () if condition.min_should is None else condition.min_should.conditions
        parts = (*condition.must, *condition.should, *condition.must_not, *some)
        return any(_asks_for(kind, part) for part in parts)
    return isinstance(condition, kind)
