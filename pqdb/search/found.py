"""What was found: values and rows, with the records of the rows, as hits are made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pqdb.kernels.frame import WORDS, named
from pqdb.kernels.gather import write_answers
from pqdb.store.layout import META_BYTES, META_ROWS
from pqdb.store.view import PointView


@dataclass(slots=True)
class Found:
    """What a block of queries found."""

    words: np.ndarray  # (q, k, WORDS) uint64 of kernels.frame.ANSWER
    filled: int  # places of it
    every: int  # the tail words of their records or-ed together
    doubtful: int = 0  # answers that are to be looked for again

    @property
    def answers(self) -> np.ndarray:
        """(q, k) kernels.frame.ANSWER, the same memory."""
        return named(self.words)

    def values_and_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """(q, k) float32 and uint32, as `search` has them."""
        return self.answers["value"].copy(), self.answers["row"].copy()


def answered(points: PointView, values: np.ndarray, rows: np.ndarray) -> Found:
    """Values and rows (q, k) with the records of the rows."""
    words = np.empty((*rows.shape, WORDS), np.uint64)
    where = points.meta, META_ROWS, META_BYTES, META_BYTES - 8
    return Found(words, *write_answers(*where, values, rows, named(words)))


def joined(parts: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Values and rows of some queries after those of others."""
    return np.concatenate([values for values, _ in parts]), np.concatenate([rows for _, rows in parts])
