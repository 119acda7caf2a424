"""Names: those Qdrant allows for collections, and the one the service keeps for itself."""

from __future__ import annotations

from typing import Any

from .errors import Refusal, validation_error

# The key under which the service keeps what is its own: in a collection's metadata what was sent, for GET to echo;
# in payloads the mark of points without a vector.
WIRE_KEY = "pqdb_server"

Metadata = dict[str, Any]

_FORBIDDEN = frozenset('<>:"/\\|?*\0\x1f')


def noted(metadata: Metadata | None, **notes: Any) -> Metadata:
    """A collection's metadata with notes of the service's own, in place of those of the same names."""
    held = metadata or {}
    return {**held, WIRE_KEY: {**held.get(WIRE_KEY, {}), **notes}}


def check_name(name: str) -> None:
    """Refuse a collection name Qdrant would refuse. Raises Refusal 422."""
    if not 1 <= len(name) <= 255:
        raise _bad_name(f"value invalid, must be from 1 to 255 characters, not {len(name)}")
    for character in name:
        if character in _FORBIDDEN:
            raise _bad_name(f'collection name cannot contain "{_visible(character)}" char')


def _bad_name(detail: str) -> Refusal:
    return validation_error("collection_name", detail, "path parameters")


def _visible(character: str) -> str:
    return character if character.isprintable() else f"\\x{ord(character):02x}"
