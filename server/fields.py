"""Reading one JSON object field by field, each with its type and range checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .errors import format_error, not_yet, validation_error

UNSIGNED_END = 2**64


@dataclass(frozen=True)
class Fields:
    """One JSON object and its place in the body ("" at the top, then "searches[0]", …).

    Every reader treats null like a missing key, as Qdrant does, and raises Refusal: 400 for a wrong
    type, 422 for a number out of range.
    """

    value: dict[str, Any]
    place: str

    @classmethod
    def of(cls, value: object, place: str) -> Fields:
        if not isinstance(value, dict):
            raise format_error(f"{_at(place)}invalid type: {kind_of(value)}, expected an object")
        return cls(value, place)

    def path(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def only(self, known: Collection[str]) -> Fields:
        """Refuse keys that are not known: what is ignored in silence is believed to work."""
        for key, value in self.value.items():
            if key not in known and value is not None:
                expected = ", ".join(f"`{name}`" for name in known)
                raise format_error(f"{_at(self.place)}unknown field `{key}`, expected one of {expected}")
        return self

    def get(self, key: str) -> Any:
        return self.value.get(key)

    def required(self, key: str) -> Any:
        value = self.value.get(key)
        if value is None:
            raise format_error(f"{_at(self.place)}missing field `{key}`")
        return value

    def unsigned(self, key: str, default: int, least: int = 0, most: int | None = None) -> int:
        value = self.value.get(key)
        return default if value is None else unsigned(value, self.path(key), least, most)

    def number(self, key: str) -> float | None:
        value = self.value.get(key)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise self._mistyped(key, value, "a number")
        return float(value)

    def boolean(self, key: str, default: bool = False) -> bool:
        value = self.value.get(key)
        if value is None:
            return default
        if type(value) is not bool:
            raise self._mistyped(key, value, "a boolean")
        return value

    def text(self, key: str, default: str = "") -> str:
        value = self.value.get(key)
        if value is None:
            return default
        if type(value) is not str:
            raise self._mistyped(key, value, "a string")
        return value

    def variant(self, key: str, variants: Iterable[str]) -> str | None:
        """One of a few words, or None when the key is missing."""
        value = self.value.get(key)
        names = tuple(variants)
        if value is not None and value not in names:
            expected = ", ".join(f"`{name}`" for name in names)
            shown = f"`{value}`" if isinstance(value, str) else kind_of(value)
            raise format_error(f"{self.path(key)}: unknown variant {shown}, expected one of {expected}")
        return value

    def fields(self, key: str) -> Fields | None:
        """The object under a key, or None when the key is missing."""
        value = self.value.get(key)
        return None if value is None else Fields.of(value, self.path(key))

    def array(self, key: str) -> list[Any]:
        """The array under a key that must be there."""
        value = self.required(key)
        if not isinstance(value, list):
            raise self._mistyped(key, value, "an array")
        return value

    def refuse(self, **offers: str) -> Fields:
        """Refuse keys of Qdrant's that hold anything but nothing: `refuse(filter="filters")`."""
        for key, what in offers.items():
            if self.value.get(key) not in (None, [], {}):
                raise not_yet(f"{what} (`{self.path(key)}`)")
        return self

    def _mistyped(self, key: str, value: object, expected: str) -> Exception:
        return format_error(f"{self.path(key)}: invalid type: {kind_of(value)}, expected {expected}")


def unsigned(value: object, place: str, least: int = 0, most: int | None = None) -> int:
    """An unsigned 64-bit integer between `least` and `most`."""
    if type(value) is not int or not 0 <= value < UNSIGNED_END:
        raise format_error(f"{place}: invalid type or value: {kind_of(value)}, expected an unsigned integer")
    if value < least or (most is not None and value > most):
        allowed = f"must be {least} or larger" if most is None else f"must be from {least} to {most}"
        raise validation_error(place, f"value {value} invalid, {allowed}")
    return value


def kind_of(value: object) -> str:
    """What JSON calls a value's type, with the value where it is short."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{value}`"
    if isinstance(value, str):
        return f'string "{value[:64]}"'
    return "an array" if isinstance(value, list) else "an object"


def _at(place: str) -> str:
    return f"{place}: " if place else ""
