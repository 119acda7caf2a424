"""Ids as keys: unsigned 64-bit integers, UUIDs in any spelling, and other strings of 1 to 400 bytes of UTF-8.

A key is one kind byte and the id, so that byte order is: integers ascending, UUIDs by value, strings by their
UTF-8: ``00`` + u64 big-endian | ``01`` + 16 bytes | ``02`` + UTF-8. Every spelling of a UUID (hyphens or
none, upper case, ``urn:uuid:``, braces) is one key and is given back in lower case with hyphens.
"""

import operator
import re
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from pqdb.errors import IdError

MAX_TEXT_BYTES = 400
MAX_INT = (1 << 64) - 1

INT, UUID, TEXT = b"\x00", b"\x01", b"\x02"

_UUID_LENGTHS = frozenset((32, 36, 38, 41, 45))  # bare, hyphens, {…}, urn: + bare, urn: + hyphens
_HYPHENED = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SPELLINGS = re.compile(
    rf"(?:urn:uuid:)?(?:{_HYPHENED}|[0-9a-f]{{32}})|\{{{_HYPHENED}\}}", re.IGNORECASE | re.ASCII
)


def id_key(point_id: Any) -> bytes:
    """The key of one id. Raises IdError for whatever is not an id."""
    if type(point_id) is int:
        return _int_key(point_id)
    if isinstance(point_id, str):
        return _text_key(point_id)
    if isinstance(point_id, (int, np.integer)) and not isinstance(point_id, bool):
        return _int_key(operator.index(point_id))
    if isinstance(point_id, uuid.UUID):
        return UUID + point_id.bytes
    raise IdError(
        f"an id is an unsigned 64-bit integer or a string, not {type(point_id).__name__} ({_shown(point_id)})"
    )


def id_keys(point_ids: Sequence[Any]) -> list[bytes]:
    """The keys of many ids; integers all in one go. Raises IdError naming the first that is none, and its place."""
    if len(point_ids) > 16 and set(map(type, point_ids)) == {int}:
        try:
            numbers = np.array(point_ids, dtype=np.uint64)
        except (OverflowError, ValueError):
            pass  # one by one, to name the culprit
        else:
            return _int_keys(numbers)
    if isinstance(point_ids, np.ndarray) and point_ids.ndim == 1 and point_ids.dtype.kind == "u":
        return _int_keys(point_ids.astype(np.uint64))
    keys: list[bytes] = []
    try:
        keys.extend(map(id_key, point_ids))  # (what was there before the first that is none stays)
    except IdError as error:
        raise IdError(f"ids[{len(keys)}]: {error}") from None
    return keys


def id_from_key(key: bytes | memoryview) -> int | str:
    """The id of a key, as users see it."""
    kind, rest = bytes(key[:1]), bytes(key[1:])
    if kind == INT:
        return int.from_bytes(rest, "big")
    if kind == UUID:
        return uuid_text(rest)
    return rest.decode()


def uuid_text(raw: bytes) -> str:
    """The canonical spelling of 16 bytes of UUID."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _int_key(number: int) -> bytes:
    if 0 <= number <= MAX_INT:
        return INT + number.to_bytes(8, "big")
    raise IdError(f"an integer id is between 0 and {MAX_INT}, not {_shown(number)}")


def _int_keys(numbers: "np.ndarray[Any, np.dtype[np.uint64]]") -> list[bytes]:
    keys = np.zeros((len(numbers), 9), np.uint8)  # the leading byte is the kind: 0
    keys[:, 1:] = numbers.astype(">u8").view(np.uint8).reshape(-1, 8)
    joined = keys.tobytes()
    return [joined[at : at + 9] for at in range(0, len(joined), 9)]


def _text_key(text: str) -> bytes:
    if len(text) in _UUID_LENGTHS and _SPELLINGS.fullmatch(text):
        return UUID + uuid.UUID(text.lower()).bytes
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise IdError(f"a string id is valid Unicode; {_shown(text)} cannot be written as UTF-8") from error
    if not 1 <= len(raw) <= MAX_TEXT_BYTES:
        raise IdError(f"a string id has 1 to {MAX_TEXT_BYTES} bytes of UTF-8, not {len(raw)}")
    return TEXT + raw


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"
