"""Points and hits as Qdrant prints them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import pqdb

from . import bare
from .ids import PointId
from .selectors import PayloadSelector
from .shape import Wanted
from .vectors import UNNAMED

# A vector in an answer: an array, so that orjson prints float32 with its shortest digits.
Printed = dict[str, Any]

_EMPTY: Printed = {}

# A write that did not finish within its timeout; it goes on and will be kept.
LATE: Printed = {"operation_id": None, "status": "wait_timeout"}


def record(point: pqdb.Point, payload: PayloadSelector, with_vector: Wanted) -> Printed:
    """A point as retrieve and scroll give it."""
    return _parts({"id": point.id}, point, payload, with_vector)


def scored(hit: pqdb.Hit | pqdb.Point, score: np.float32, payload: PayloadSelector, with_vector: Wanted) -> Printed:
    """A point as a query gives it, with its version and score."""
    return _parts({"id": hit.id, "version": hit.version, "score": score}, hit, payload, with_vector)


def scored_hits(
    hits: pqdb.Hits, chosen: Sequence[int], payload: PayloadSelector, with_vector: Wanted
) -> list[Printed]:
    """The chosen hits of a search. A payload that is wanted whole is passed on as it is stored, unparsed."""
    ids, scores, versions = hits.ids, hits.scores, hits.versions.tolist()
    printed: list[Printed] = [{"id": ids[i], "version": versions[i], "score": scores[i]} for i in chosen]
    if payload.wanted:
        raw = hits.raw_payloads
        for i, one in zip(chosen, printed, strict=True):
            held = None if raw is None else raw[i]
            one["payload"] = _EMPTY if held is None else payload.of_json(held)
    if with_vector and hits.vectors is not None:
        for i, one in zip(chosen, printed, strict=True):
            one["vector"] = _vector(hits.vectors[i], with_vector)
    return printed


def update_result(sequence: int | None, wait: bool) -> Printed:
    """What a write answers. The work is done and on disk either way; `wait` only chooses the word. `sequence`: of the
    commit; None or 0 where there was none to tell.
    """
    return {"operation_id": sequence or None, "status": "completed" if wait else "acknowledged"}


def page(points: list[Printed], next_offset: PointId | None, order_values: list[Any] | None = None) -> Printed:
    """One page of a scroll; in the order of a key, each point with its value there."""
    if order_values is not None:
        points = [{**point, "order_value": value} for point, value in zip(points, order_values, strict=True)]
    return {"points": points, "next_page_offset": next_offset}


def _parts(printed: Printed, point: pqdb.Hit | pqdb.Point, payload: PayloadSelector, with_vector: Wanted) -> Printed:
    is_bare = bare.is_marked(point.payload)
    if payload.wanted:
        printed["payload"] = payload.of(bare.unmarked(point.payload))
    if with_vector and point.vector is not None:
        printed["vector"] = {} if is_bare else _vector(point.vector, with_vector)
    return printed


def _vector(vector: Any, wanted: Wanted) -> Any:
    """A point's vector, or those of its vectors that are wanted; the one without a name stands alone, as Qdrant's."""
    if not isinstance(vector, dict):
        return np.asarray(vector, dtype=np.float32)
    shown = {name: _one(each) for name, each in vector.items() if not isinstance(wanted, list) or name in wanted}
    return shown[UNNAMED] if list(shown) == [UNNAMED] else shown


def _one(vector: Any) -> Any:
    """One vector of several, as JSON has it."""
    return {"indices": vector.indices, "values": vector.values} if isinstance(vector, pqdb.SparseVector) else vector
