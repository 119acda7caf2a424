"""What verbs are given, checked."""

import json
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from pqdb.config import MAX_K, MAX_PAYLOAD_BYTES
from pqdb.errors import InputError, PayloadError
from pqdb.hits import Id, Payload

Ids = Sequence[Id] | np.ndarray | Id
Wanted = bool | Sequence[str]  # whether vectors are shown; of vectors with names, which
Terms = tuple[int, float | None, int | None, int | None]  # k, recall, nprobe, rerank as they were asked for


def as_list(ids: Sequence[Id] | np.ndarray | Id) -> list[Any]:
    """Ids, one or several. Raises InputError for what is neither."""
    if isinstance(ids, np.ndarray):
        return list(np.atleast_1d(ids).tolist())
    if isinstance(ids, str | int | np.integer):
        return [ids]
    if isinstance(ids, bytes | bytearray):
        raise InputError(f"ids are integers and strings, not {type(ids).__name__}")
    try:
        return list(ids)
    except TypeError:
        raise InputError(f"ids must be a sequence of integers and strings, not {type(ids).__name__}") from None


def is_id(query: object) -> TypeGuard[Id]:
    """Whether a query is the id of a point, and not a vector."""
    if type(query) is np.ndarray:
        return False
    return isinstance(query, int | str | np.integer) and not isinstance(query, bool)


def ids_or_filter(verb: str, ids: Ids | None, filter: object) -> list[Any] | None:
    """The ids, None where there is a filter instead. Raises InputError for both and for neither."""
    if (ids is None) == (filter is None):
        raise InputError(f"{verb} needs ids or a filter{'' if ids is None else ', not both'}")
    return None if ids is None else as_list(ids)


def ragged(query: object) -> bool:
    """Whether rows differ in length: numpy would refuse with a sentence of its own."""
    if not isinstance(query, Sequence) or not query or not isinstance(query[0], Sequence | np.ndarray):
        return False
    return len({len(row) for row in query if isinstance(row, Sequence | np.ndarray)}) > 1


def payload_bytes(payload: Payload | None) -> bytes | None:
    """JSON of a payload. Raises PayloadError for anything that is not a JSON object, or too long."""
    if payload is None:
        return None
    if not isinstance(payload, dict):
        raise PayloadError(f"a payload is a JSON object, not {type(payload).__name__}")
    try:
        raw = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as problem:
        raise PayloadError(f"this payload cannot be stored as JSON: {problem}") from None
    if len(raw) > MAX_PAYLOAD_BYTES:
        raise PayloadError(f"a payload has at most {MAX_PAYLOAD_BYTES:,} bytes of JSON, not {len(raw):,}")
    return raw


def check_k(k: object) -> int:
    """A number of hits. Raises InputError."""
    if type(k) is int and 1 <= k <= MAX_K:
        return k
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= MAX_K:
        raise InputError(f"k must be a whole number from 1 to {MAX_K:,}, not {k!r}")
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
    if rerank is not None and nprobe is None:
        raise InputError("rerank is set by hand together with nprobe; without it, ask for a recall")


def check_recall(recall: object) -> None:
    """A recall. Raises InputError."""
    if not (isinstance(recall, int | float | np.floating) and 0 < recall < 1):
        raise InputError(f"recall must lie between 0 and 1, not {recall!r}; exact=True gives the exact answer")
