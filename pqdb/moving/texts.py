"""Ids of both kinds in arrays that know one kind each: integers, and text beside them where there is any."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pqdb.errors import InputError
from pqdb.hits import Id


def ids_parted(ids: Sequence[Id]) -> tuple[np.ndarray, list[str]]:
    """(n,) uint64, 0 for text, and n texts, empty for integers: no id is empty."""
    numbers = np.array([id_ if isinstance(id_, int) else 0 for id_ in ids], np.uint64)
    return numbers, [id_ if isinstance(id_, str) else "" for id_ in ids]


def ids_joined(ids: np.ndarray | None, texts: np.ndarray | None, first: int, n: int) -> list[Any]:
    """n ids from an array (n,) of integers or text, and one of text that goes before; without, counted from `first`."""
    found = list(range(first, first + n)) if ids is None else _listed(ids)
    if texts is None:
        return found
    return [text or id_ for text, id_ in zip(_listed(texts), found, strict=True)]


def _listed(array: np.ndarray) -> list[Any]:
    try:
        return [id_.decode() if isinstance(id_, bytes) else id_ for id_ in array.tolist()]
    except UnicodeDecodeError as error:
        raise InputError(f"an id is not UTF-8: {error}") from None
