"""Point ids on the wire: unsigned 64-bit integers and UUIDs, nothing else."""

from __future__ import annotations

import re
from typing import Any

from .errors import format_error, wrong_input
from .fields import UNSIGNED_END

PointId = int | str

# The spellings Qdrant reads: hyphenated, plain hex, urn:uuid:, braced; in either case.
_UUID = re.compile(
    r"(?:urn:uuid:|(\{)?)([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})(?(1)\})",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[0-9]{1,20}")


def point_id(value: object) -> PointId:
    """An id in a body. Raises Refusal 400; "1" is not an id here, although the engine would take it."""
    if type(value) is int and 0 <= value < UNSIGNED_END:
        return value
    if type(value) is str and (uuid := _canonical(value)) is not None:
        return uuid
    raise format_error(
        f"value {_short(value)} is not a valid point ID, valid values are either an unsigned integer or a UUID"
    )


def point_ids(values: list[Any]) -> list[PointId]:
    """The ids of a list in a body, in its order. Raises Refusal 400 for the first that is none."""
    return [value if type(value) is int and 0 <= value < UNSIGNED_END else point_id(value) for value in values]


def path_id(text: str) -> PointId:
    """An id in a path, where a number is written without quotes. Raises Refusal 400."""
    if _NUMBER.fullmatch(text) and int(text) < UNSIGNED_END:
        return int(text)
    if (uuid := _canonical(text)) is not None:
        return uuid
    raise wrong_input(f'Can not recognize "{_short(text)}" as point id')


def _canonical(text: str) -> str | None:
    match = _UUID.fullmatch(text)
    return "-".join(match.groups()[1:]).lower() if match else None


def _short(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
