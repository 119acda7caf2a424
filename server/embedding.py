"""Texts to vectors by the demo's embedder, where it is installed: for the dashboard's search box."""

from __future__ import annotations

import threading
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import not_offered

NEEDS = "wordllama"
_made: list[Any] = []  # the one embedder of the process, made when it is first asked for
_lock = threading.Lock()


def dimensions() -> int:
    """Dimensions of its vectors; 0 where the extra `demo` is not installed."""
    if find_spec(NEEDS) is None:
        return 0
    from pqdb.demo.embed import DIM

    return DIM


def embed(text: str) -> npt.NDArray[np.float32]:
    """The vector of a text. Raises Refusal 400 where there is no embedder."""
    if find_spec(NEEDS) is None:
        raise not_offered('embedding without the extra `demo`: pip install "pqdb[demo]"')
    with _lock:
        if not _made:
            from pqdb.demo.embed import Embedder

            _made.append(Embedder())
        vector: npt.NDArray[np.float32] = _made[0].embed([text])[0]
    return vector
