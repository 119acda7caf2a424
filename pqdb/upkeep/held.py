"""What a collection holds in the process's own memory: its arrays, found by walking through its objects."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pyroaring import BitMap

_BITMAP_BYTES = 2  # of a row in a bitmap, at most; a denser one takes a bit a row


def held_bytes(parts: Mapping[str, list[Any]]) -> dict[str, int]:
    """Bytes of the arrays, bitmaps and byte strings that each part's objects lead to; what several lead to is the
    first's.

    Only objects of our own and plain containers are walked through. What lies in a memory map is no array's own.
    """
    seen: set[int] = set()
    return {name: sum(_bytes(each, seen) for each in objects) for name, objects in parts.items()}


def _bytes(root: Any, seen: set[int]) -> int:
    total, todo = 0, [root]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, np.ndarray):
            total += each.nbytes if each.base is None else 0
            todo.append(each.base)
        elif isinstance(each, (bytes, bytearray)):
            total += len(each)
        elif isinstance(each, BitMap):
            total += min(_BITMAP_BYTES * len(each), (each.max() >> 3) + 1 if each else 0)
        elif isinstance(each, Mapping):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set, frozenset)):
            todo += each
        elif type(each).__module__.startswith("pqdb."):
            todo += _fields(each)
    return total


def _fields(each: Any) -> list[Any]:
    slots = [name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*getattr(each, "__dict__", {}).values(), *(getattr(each, name, None) for name in slots)]
