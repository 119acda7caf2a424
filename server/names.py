"""Names: those Qdrant allows for collections, and the one the service keeps for itself."""

from __future__ import annotations

from .errors import Refusal, validation_error

# The key under which the service keeps what is its own: in a collection's metadata what was sent, for GET to echo;
# in payloads the mark of points without a vector.
WIRE_KEY = "pqdb_server"

_FORBIDDEN = frozenset('<>:"/\\|?*\0\x1f')


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
