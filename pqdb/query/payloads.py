"""Changes to a payload: keys merged in, also deep inside, and keys taken out."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pqdb.query.path import Path, Step


def merged(payload: dict[str, Any], new: dict[str, Any], at: Path | None = None) -> dict[str, Any]:
    """A payload with the keys of `new` in it, or in the objects at a path; without those whose new value is None.

    What is missing on the way is made; a value on the way that is no object, or at its end, gives way to one.
    """
    if at is None:
        return _with(payload, new)
    changed = deepcopy(payload)
    _merge(changed, at.steps, new)
    return changed


def without(payload: dict[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """A payload without what lies at some paths. `a[]` leaves an empty array; `a[0]` takes nothing out of one."""
    changed = deepcopy(payload)
    for path in paths:
        _remove([changed], path.steps)
    return changed


def _with(held: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """As Qdrant merges: null is no value there, but takes a key away."""
    return {key: value for key, value in {**held, **new}.items() if value is not None or key not in new}


def _merge(holder: Any, steps: Sequence[Step], new: dict[str, Any]) -> None:
    """Merge into what lies at the steps inside an object or array."""
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        places: list[Any] = [step]
        following = rest[0] if rest else None
        wanted: type = dict if following is None or isinstance(following, str) else list
        if not isinstance(holder.get(step), wanted):
            holder[step] = wanted()
    elif isinstance(step, int):
        places = [step] if step < len(holder) else []
    else:
        places = list(range(len(holder)))
    for place in places:
        if not rest:
            held = holder[place]
            holder[place] = _with(held if isinstance(held, dict) else {}, new)
            continue
        wanted = dict if isinstance(rest[0], str) else list
        if not isinstance(holder[place], wanted):
            holder[place] = wanted()
        _merge(holder[place], rest, new)


def _remove(holders: list[Any], steps: Sequence[Step]) -> None:
    """Take out what lies at the steps inside of some objects or arrays."""
    step, rest = steps[0], steps[1:]
    inside: list[Any] = []
    for holder in holders:
        if isinstance(step, str):
            if isinstance(holder, dict) and step in holder:
                inside.append(holder[step])
                if not rest:
                    del holder[step]
        elif isinstance(holder, list):
            inside += holder if step is ... else holder[step : step + 1]
            if not rest and step is ...:
                holder.clear()
    if rest and inside:
        _remove(inside, rest)
