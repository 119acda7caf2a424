"""Which parts of a point an answer carries: `with_payload` and `with_vector`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .envelope import Raw
from .errors import format_error
from .fields import Fields, kind_of

Payload = dict[str, Any]
Path = tuple[str, ...]

# A step of a payload path: a quoted key, a bare key, `[]` for every element or `[3]` for one.
_STEP = re.compile(r'"([^"]+)"|([^."\[\]]+)|(\[[0-9]*\])')


@dataclass(frozen=True)
class PayloadSelector:
    """All of a payload, none of it, or the paths to keep or to leave out."""

    wanted: bool
    include: tuple[Path, ...] | None = None
    exclude: tuple[Path, ...] | None = None

    @classmethod
    def parse(cls, value: object, place: str, default: bool) -> PayloadSelector:
        """Read a bool, a list of paths, `{"include": […]}` or `{"exclude": […]}`. Raises Refusal 400."""
        if value is None:
            return cls(default)
        if isinstance(value, bool):
            return cls(value)
        if isinstance(value, list):
            return cls(True, include=_paths(value, place))
        if isinstance(value, dict) and len(value) == 1:
            fields = Fields(value, place).only(("include", "exclude"))
            if fields.get("include") is not None:
                return cls(True, include=_paths(fields.array("include"), place))
            if fields.get("exclude") is not None:
                return cls(True, exclude=_paths(fields.array("exclude"), place))
        raise format_error(f"{place}: expected true, false, a list of keys, include or exclude, not {kind_of(value)}")

    def of_json(self, raw: bytes) -> Payload | Raw:
        """The selected part of a payload given as JSON; the whole of it as it is."""
        if self.include is None and self.exclude is None:
            return Raw(raw)
        payload: Payload = json.loads(raw)
        return self.of(payload)

    def of(self, payload: Payload | None) -> Payload:
        """The selected part of a payload; the payload itself is left as it is."""
        whole = payload or {}
        if self.include is not None:
            return _kept(whole, self.include)
        if self.exclude is not None:
            return _without(whole, self.exclude)
        return whole


def parse_vector_selector(value: object, place: str) -> bool | list[str]:
    """Which vectors are wanted: a bool, or a list of names. Raises Refusal 400."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise format_error(f"{place}: expected true, false or a list of names, not {kind_of(value)}")
    return value


def parse_path(text: str) -> Path:
    """The steps of a payload path such as `a.b`, `a[].b`, `a[0]` or `"a.b".c`. Raises Refusal 400.

    Steps into arrays keep their brackets, which no bare key can hold.
    """
    steps: list[str] = []
    at = 0
    while match := _STEP.match(text, at):
        quoted, bare, index = match.groups()
        if index and not steps:
            break
        steps.append(quoted or bare or index)
        at = match.end()
        if at == len(text):
            return tuple(steps)
        if text[at] == ".":
            at += 1
        elif text[at] != "[":
            break
    raise format_error(f"`{text[:80]}` is not a payload path")


def values_at(value: Any, path: Path) -> list[Any]:
    """What lies at a path of a payload; of an array at its end, every element."""
    if not path:
        return value if isinstance(value, list) else [value]
    step, rest = path[0], path[1:]
    if step.startswith("[") and isinstance(value, list):
        chosen = value if step == "[]" else value[int(step[1:-1]) : int(step[1:-1]) + 1]
        return [found for each in chosen for found in values_at(each, rest)]
    if isinstance(value, dict) and step in value:
        return values_at(value[step], rest)
    return []


def _paths(values: list[Any], place: str) -> tuple[Path, ...]:
    for value in values:
        if not isinstance(value, str):
            raise format_error(f"{place}: invalid type: {kind_of(value)}, expected a payload key")
    return tuple(parse_path(value) for value in values)


def _tails(key: str, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """What is left of the paths that begin with a key."""
    return tuple(path[1:] for path in paths if path[0] == key)


def _kept(value: dict[str, Any], paths: tuple[Path, ...]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, child in value.items():
        tails = _tails(key, paths)
        if not tails:
            continue
        if () in tails:
            kept[key] = child
        elif isinstance(child, dict):
            kept[key] = _kept(child, tails)
        elif isinstance(child, list):
            kept[key] = _kept_elements(child, tails)
    return kept


def _kept_elements(values: list[Any], paths: tuple[Path, ...]) -> list[Any]:
    kept: list[Any] = []
    for i, child in enumerate(values):
        tails = _tails("[]", paths) + _tails(f"[{i}]", paths)
        if () in tails:
            kept.append(child)
        elif tails and isinstance(child, dict):
            kept.append(_kept(child, tails))
        elif any(tail[0].startswith("[") for tail in tails) and isinstance(child, list):
            kept.append(_kept_elements(child, tails))
    return kept


def _without(value: dict[str, Any], paths: tuple[Path, ...]) -> dict[str, Any]:
    left: dict[str, Any] = {}
    for key, child in value.items():
        tails = _tails(key, paths)
        if () not in tails:
            left[key] = _without_in(child, tails)
    return left


def _without_in(child: Any, tails: tuple[Path, ...]) -> Any:
    if tails and isinstance(child, dict):
        return _without(child, tails)
    if tails and isinstance(child, list):
        rests = [_tails("[]", tails) + _tails(f"[{i}]", tails) for i in range(len(child))]
        return [_without_in(element, rest) for element, rest in zip(child, rests, strict=True) if () not in rest]
    return child
