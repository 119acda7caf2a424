"""Scratch of a block of queries: where each piece of it lies, and how large it is.

A search needs thirty small arrays. Making them anew costs each query two to three microseconds, so they are pieces of
one stretch of memory that a thread keeps.
"""

from typing import Any

import numpy as np

from pqdb.kernels._jit import kernel_inline_with_arrays
from pqdb.kernels._types import Address
from pqdb.kernels.cells import CELLS
from pqdb.kernels.exact import SCORED
from pqdb.kernels.frame import FRAME, carray, pointer
from pqdb.kernels.route import BUCKETS
from pqdb.kernels.scan import SPACE

LINE = 64  # bytes: a piece begins with one


def pieces_of(frame: np.void | np.ndarray, n: int) -> dict[str, int]:
    """Bytes of each piece, for n queries under a record of frame.FRAME; kernels.road knows their types."""
    dim, lists, most, k, keep = (int(frame[name]) for name in ("dim", "n_lists", "most", "k", "keep"))
    banks = max(int(frame["n_banks"]), int(frame["axis_banks"]))
    return {
        "queries": 4 * n * dim,
        "moved": 4 * n * dim,
        # route
        "lists": 4 * n * most,
        "probed": 4 * n,
        "bases": 4 * n * most,
        "margins": 4 * n * most,
        "floors": 4 * n,
        "there": 4 * n,
        "cells": 16 * n * CELLS,
        "cell_of": 4 * n * lists,
        "keys": 4 * lists,
        "centroid_values": 4 * lists,
        "products": 4 * 64 * banks,
        "histogram": 4 * BUCKETS,
        "picked": 4 * (2 * lists + 1),
        "low": 4,
        "centred": 4 * dim,
        "small": int(frame["dpad"]),
        # tables
        "rotated": 4 * n * int(frame["d_out"]),
        "coefficients": 8 * n,
        "raw": 4 * int(frame["m"]) * int(frame["ksub"]),
        "span": 4,
        # scan and rerank
        "starts": 8 * (n + 1),
        "cuts": 4 * n,
        "heap": 4 * int(frame["depth"]),
        "stretch": 8 * SPACE,
        "best": 4 * n * keep,
        "best_rows": 4 * n * keep,
        "found": 4 * n,
        "reranked": 4 * n,
        "kth": 4 * n,
        # finish
        "best_firsts": 8 * n,
        "scores": 4 * SCORED,
        "answer_values": 4 * n * k,
        "answer_rows": 4 * n * k,
    }


CANDIDATES = ("values", "bounds", "rows", "places")  # each of as many numbers as there is capacity for
PIECES = tuple(pieces_of(np.zeros((), FRAME), 0))
ROOM = np.dtype([("capacity", "<i8"), *((f"{name}_at", "<u8") for name in (*CANDIDATES, *PIECES))])


@kernel_inline_with_arrays
def room_at(address: Address) -> Any:
    """The record of ROOM at an address."""
    return carray(pointer(address), (1,), ROOM)[0]
