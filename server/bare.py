"""Points without a vector: kept, counted, filtered and given back like others, never found by a vector.

Where vectors have no names the engine gives every point one. So a bare point has the zero vector there and a mark in
its payload, which the service puts in, keeps through every change of payloads, and takes out before anyone sees it. A
collection that has, or had, such points is flagged in its metadata: only then do queries pass the bare ones by.
"""

from __future__ import annotations

from typing import Any

import pqdb

from .errors import format_error
from .names import WIRE_KEY, noted

MARK = WIRE_KEY  # the key in payloads
_MARKED = {MARK: "no vector"}
_IS_BARE = {"key": MARK, "match": {"value": _MARKED[MARK]}}
_FLAG = "bare_points"

Payload = dict[str, Any]


def marked(payload: Payload | None) -> Payload:
    """The payload of a bare point, as it is stored."""
    return {**(payload or {}), **_MARKED}


def is_marked(payload: Payload | None) -> bool:
    """Whether a stored payload is that of a bare point."""
    return payload is not None and MARK in payload


def unmarked(payload: Payload | None) -> Payload | None:
    """A stored payload as its owner wrote it."""
    return {key: value for key, value in payload.items() if key != MARK} if payload and MARK in payload else payload


def refuse_mark(payload: Payload | None, place: str) -> None:
    """Refuse a payload that uses the service's own key. Raises Refusal 400."""
    if payload and MARK in payload:
        raise format_error(f"{place}: the key `{MARK}` is kept for the service itself")


def may_be_in(collection: pqdb.Collection) -> bool:
    """Whether a collection has, or had, bare points."""
    return bool((collection.metadata or {}).get(WIRE_KEY, {}).get(_FLAG))


def prepare(database: pqdb.Database, collection: pqdb.Collection) -> None:
    """Flag a collection before the first bare point is written."""
    if not may_be_in(collection):
        collection.create_payload_index(MARK, "keyword")
        database.change_metadata(collection.name, lambda held: noted(held, **{_FLAG: True}))


def parse_filter(given: Any) -> Any:
    """The filter that a JSON object says, to which a bare point has no vector. Raises FilterError."""
    return pqdb.parse_filter(_telling(given))


def _telling(filter_: Any) -> Any:
    if not isinstance(filter_, dict):
        return filter_
    if filter_.get("has_vector") == "":
        return {"must": [filter_], "must_not": [_IS_BARE]}
    changed = {}
    for clause, given in filter_.items():
        if clause in ("must", "should", "must_not"):
            changed[clause] = [_telling(each) for each in given] if isinstance(given, list) else _telling(given)
        elif clause == "min_should" and isinstance(given, dict) and isinstance(given.get("conditions"), list):
            changed[clause] = {**given, "conditions": [_telling(each) for each in given["conditions"]]}
    return {**filter_, **changed}


def without(filter_: Any) -> Any:
    """A filter that also passes bare points by."""
    return {"must": [] if filter_ is None else [filter_], "must_not": [_IS_BARE]}


def only(filter_: Any) -> Any:
    """A filter that passes bare points only."""
    return {"must": [_IS_BARE] if filter_ is None else [filter_, _IS_BARE]}
