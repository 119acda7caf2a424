"""What verbs are given, checked."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from pqdb.config import MAX_K, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH
from pqdb.errors import FilterError, InputError, PayloadError
from pqdb.hits import Id, Payload
from pqdb.query.conditions import Filter
from pqdb.query.parse import parse_filter

Ids = Sequence[Id] | Sequence[uuid.UUID] | np.ndarray | Id | uuid.UUID
Wanted = bool | Sequence[str]  # whether vectors are shown; of vectors with names, which
Terms = tuple[int, float | None, int | None, int | None]  # k, recall, nprobe, rerank as they were asked for


def as_list(ids: Ids) -> list[Any]:
    """Ids, one or several. Raises InputError for what is neither."""
    if isinstance(ids, np.ndarray):
        return list(np.atleast_1d(ids).tolist())
    if isinstance(ids, str | int | np.integer | uuid.UUID):
        return [ids]
    if isinstance(ids, bytes | bytearray):
        raise InputError(f"ids are integers and strings, not {type(ids).__name__}")
    if isinstance(ids, Mapping):
        raise InputError(f"ids are integers and strings, not {type(ids).__name__}; a filter is given by name: filter=")
    try:
        return list(ids)
    except TypeError:
        raise InputError(f"ids must be a sequence of integers and strings, not {type(ids).__name__}") from None


def is_id(query: object) -> TypeGuard[Id]:
    """Whether a query is the id of a point, and not a vector."""
    if type(query) is np.ndarray:
        return False
    return isinstance(query, int | str | np.integer | uuid.UUID) and not isinstance(query, bool)


def check_flag(name: str, value: object) -> None:
    """True or False. Raises InputError."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} is True or False, not {value!r}")


def ids_or_filter(verb: str, ids: Ids | None, filter: object) -> list[Any] | None:
    """The ids, None where there is a filter instead. Raises InputError for both and for neither."""
    if (ids is None) == (filter is None):
        raise InputError(f"{verb} needs ids or a filter{'' if ids is None else ', not both'}")
    return None if ids is None else as_list(ids)


def which(filter: object) -> Filter:
    """The filter that says which points are changed. {} means all of them; what a helper made of nothing, as
    {"must": None}, may not. Raises FilterError.
    """
    asked = parse_filter(filter)
    if asked.lets_all_pass and isinstance(filter, Mapping) and filter:
        raise FilterError(f"every point passes {dict(filter)!r}: to change all of them, say filter={{}}")
    return asked


def ragged(query: object) -> bool:
    """Whether rows differ in length: numpy would refuse with a sentence of its own."""
    if not isinstance(query, Sequence) or not query or not isinstance(query[0], Sequence | np.ndarray):
        return False
    return len({len(row) for row in query if isinstance(row, Sequence | np.ndarray)}) > 1


def payloads_bytes(payloads: Iterable[Payload | None], ids: Sequence[Any]) -> list[bytes | None]:
    """JSON of the payloads of these points. Raises InputError for another number of them, PayloadError, which names the
    point.
    """
    if isinstance(payloads, Mapping | str):
        raise InputError(f"payloads are a list, one for each point, not {type(payloads).__name__}")
    raw: list[bytes | None] = []
    listed = payloads if isinstance(payloads, Sequence) else list(payloads)
    if len(listed) != len(ids):
        raise InputError(f"{len(listed)} payloads for {len(ids)} points")
    try:
        raw.extend(map(payload_bytes, listed))  # (what was there before the first that is none stays)
    except PayloadError as error:
        raise PayloadError(f"payloads[{len(raw)}], of point {ids[len(raw)]!r}: {error}") from None
    return raw


def payload_bytes(payload: Payload | None) -> bytes | None:
    """JSON of a payload. Raises PayloadError for anything that is not a JSON object, or too long."""
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise PayloadError(f"a payload is a JSON object, not {type(payload).__name__}")
    try:
        raw = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise PayloadError(f"this payload cannot be stored as JSON: {problem}{_where(payload)}") from None
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise PayloadError(f"a payload has at most {MAX_PAYLOAD_BYTES:,} bytes of JSON, not {len(raw):,}")
    if raw.count(b"{") + raw.count(b"[") > MAX_PAYLOAD_DEPTH:  # else it cannot be too deep
        _refuse_deep(payload)
    return raw


def _refuse_deep(payload: Payload) -> None:
    level: list[Any] = [payload]
    for _ in range(MAX_PAYLOAD_DEPTH):
        inside = [child for value in level for child in (value.values() if isinstance(value, dict) else value)]
        level = [child for child in inside if isinstance(child, dict | list | tuple)]
        if not level:
            return
    raise PayloadError(f"a payload is nested at most {MAX_PAYLOAD_DEPTH} levels deep, and this one deeper")


def _where(payload: Payload) -> str:
    """At which key of its top the first value is that JSON does not have."""
    for key, value in payload.items():
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return f" (at {key!r})"
    return ""


def check_k(k: object, name: str = "k") -> int:
    """A number of hits. Raises InputError."""
    if type(k) is int and 1 <= k <= MAX_K:
        return k
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MAX_K:
        raise InputError(f"{name} must be a whole number from 1 to {MAX_K:,}, not {k!r}")
    return int(k)


def check_offset(offset: object) -> int:
    """A number of hits to leave out. Raises InputError."""
    if type(offset) is int and offset >= 0:
        return offset
    if isinstance(offset, bool) or not isinstance(offset, int | np.integer) or offset < 0:
        raise InputError(f"offset must be a whole number of at least 0, not {offset!r}")
    return int(offset)


def check_depth(k: int, offset: int) -> int:
    """How many of the nearest are looked for. Raises InputError."""
    if k + offset > MAX_K:
        raise InputError(f"k={k} and offset={offset} make {k + offset:,}, more than the {MAX_K:,} nearest of a query")
    return k + offset


def check_at_least_one(name: str, number: object) -> None:
    """A whole number of at least 1. Raises InputError."""
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise InputError(f"{name} must be a whole number, not {number!r}")
    if number < 1:
        raise InputError(f"{name} must be at least 1, not {number}")


def check_effort(k: int, recall: object, nprobe: object, rerank: object) -> None:
    """What a search is asked to spend. Raises InputError."""
    if recall is not None:
        check_recall(recall)
    for name, number in (("nprobe", nprobe), ("rerank", rerank)):
        if number is not None:
            check_at_least_one(name, number)
    if rerank is not None and int(rerank) < k:  # type: ignore[call-overload]  # checked to be a number
        raise InputError(f"rerank={rerank} is fewer than k={k}")
    if recall is not None and nprobe is not None:
        raise InputError(f"recall={recall} and nprobe={nprobe}: either says how many lists are looked into")
    if rerank is not None and nprobe is None:
        raise InputError("rerank is set by hand together with nprobe; without it, ask for a recall")


def check_recall(recall: object) -> None:
    """A recall. Raises InputError."""
    if not (isinstance(recall, int | float | np.floating) and 0 < recall < 1):
        raise InputError(f"recall must lie between 0 and 1, not {recall!r}; exact=True gives the exact answer")
