"""Hits in groups: the best points of each value of a payload key, the groups by their best point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pqdb

from .errors import format_error
from .fields import Fields
from .printing import Printed
from .queries import Query
from .selectors import PayloadSelector, parse_path, values_at
from .targets import MAX_K
from .watch import Watch

DEFAULT_GROUPS, DEFAULT_SIZE = 10, 3
MOST_GROUPS = 1_000  # and of a group's hits

GroupId = str | int


@dataclass(frozen=True)
class Grouping:
    """A checked query for groups."""

    query: Query
    key: str
    size: int
    limit: int

    @classmethod
    def parse(cls, body: Fields, recall: float | None) -> Grouping:
        """`{…query…, "group_by", "group_size", "limit"}`. Raises Refusal 400 or 422; FilterError."""
        body.refuse(with_lookup="points of other collections beside groups")
        body.required("group_by")
        key = body.text("group_by")
        parse_path(key)
        if body.get("offset") is not None:
            raise format_error("unknown field `offset`: groups have none")
        ours = ("group_by", "group_size", "with_lookup")
        rest = {name: value for name, value in body.value.items() if name not in ours}
        return cls(
            Query.parse(Fields(rest, body.place), recall),
            key,
            body.unsigned("group_size", DEFAULT_SIZE, least=1, most=MOST_GROUPS),
            body.unsigned("limit", DEFAULT_GROUPS, least=1, most=MOST_GROUPS),
        )

    def answer(self, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        """The groups, each filled as far as there are points for it."""
        groups = self._first(collection, watch)
        if self.query.target.has_vector:
            for id_, hits in groups.items():
                if len(hits) < self.size:
                    groups[id_] = self._of(id_, collection, watch)
        return [{"id": id_, "hits": [self._selected(hit) for hit in hits]} for id_, hits in groups.items()]

    def _first(self, collection: pqdb.Collection, watch: Watch) -> dict[GroupId, list[Printed]]:
        """The groups in the order of their best points, found by looking ever deeper. What prefetches find has to do
        for whole groups: they look deeper, too, and for points in groups only.
        """
        depth, n_points = min(self.limit * self.size, MAX_K - 100), len(collection)
        grouped = {"must_not": [{"is_empty": {"key": self.key}}]} if self.query.prefetch else None
        while True:
            hits = self._ask(depth, grouped, collection, watch)
            groups: dict[GroupId, list[Printed]] = {}
            for hit in hits:
                for id_ in _ids_of(hit["payload"], self.key):
                    if len(held := groups.setdefault(id_, [])) < self.size:
                        held.append(hit)
            found = dict(list(groups.items())[: self.limit])
            filled = self.query.target.has_vector or all(len(hits) == self.size for hits in found.values())
            if (len(found) == self.limit and filled) or len(hits) < depth or depth >= min(MAX_K - 100, n_points):
                return found
            depth = min(4 * depth, MAX_K - 100)

    def _of(self, id_: GroupId, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        """The best points of one group."""
        condition = {"must": [{"key": self.key, "match": {"value": id_}}]}
        return self._ask(self.size, condition, collection, watch)

    def _ask(self, limit: int, condition: Any, collection: pqdb.Collection, watch: Watch) -> list[Printed]:
        filter_ = self.query.filter
        if condition is not None:
            filter_ = condition if filter_ is None else {"must": [filter_, condition]}
        prefetch = tuple(_deeper(part, self.size) for part in self.query.prefetch)
        whole = PayloadSelector(wanted=True)
        query = replace(self.query, limit=limit, filter=filter_, payload=whole, prefetch=prefetch)
        return query.answer(collection, watch)

    def _selected(self, hit: Printed) -> Printed:
        """A hit with the parts of its payload that were asked for."""
        if self.query.payload.wanted:
            return {**hit, "payload": self.query.payload.of(_parsed(hit["payload"]))}
        return {name: value for name, value in hit.items() if name != "payload"}


def _deeper(query: Query, times: int) -> Query:
    """A prefetch, and those inside it, with limits so many times as large."""
    inner = tuple(_deeper(part, times) for part in query.prefetch)
    return replace(query, limit=max(query.limit, min(times * query.limit, MAX_K)), prefetch=inner)


def _ids_of(payload: Any, key: str) -> list[GroupId]:
    """The groups a point belongs to: every string and integer at the key, each once."""
    found = values_at(_parsed(payload), parse_path(key))
    return list(dict.fromkeys(value for value in found if isinstance(value, str) or type(value) is int))


def _parsed(payload: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = payload.parsed() if hasattr(payload, "parsed") else payload
    return parsed
