"""Sets of rows in three forms, and between them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from pqdb.query.bitmaps import SPARE_BYTES, bitmap_of, bitmap_of_bits, bits_of, rows_of

SHARES = [0.0, 1e-5, 1e-3, 0.03, 0.06, 0.07, 0.3, 0.5, 0.97, 0.999, 1.0]


def plain(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """The bits, the long way."""
    bits = np.zeros(-(-n_rows // 8) + SPARE_BYTES, np.uint8)
    for row in rows.tolist():
        bits[row >> 3] |= 1 << (row & 7)
    return bits


def check(rows: np.ndarray, n_rows: int) -> None:
    bitmap = bitmap_of(rows)
    assert list(bitmap) == sorted(set(rows.tolist()))
    for runs in (False, True):
        if runs:
            bitmap.run_optimize()
        bits = bits_of(bitmap, n_rows)
        assert np.array_equal(bits, plain(rows, n_rows))
        assert bits.flags.writeable
        assert bits.flags.c_contiguous
        assert bitmap_of_bits(bits, n_rows) == bitmap
        assert np.array_equal(rows_of(bitmap), np.unique(rows))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("n_rows", [1, 8, 9, 65_535, 65_536, 65_537, 200_001])
def test_any_share_of_rows(n_rows: int, share: float) -> None:
    rng = np.random.default_rng(n_rows)
    rows = np.flatnonzero(rng.random(n_rows) < share)
    check(rng.permutation(rows).astype(np.uint32), n_rows)


def test_chunks_of_every_kind_side_by_side() -> None:
    kinds = [np.arange(0, 65_536, 2), np.arange(100), np.arange(65_536), np.zeros(0, int), np.arange(0, 65_536, 17)]
    kinds.append(np.concatenate([np.arange(first, first + 20) for first in range(0, 65_000, 40)]))
    rows = np.concatenate([kind + 65_536 * number for number, kind in enumerate(kinds)]).astype(np.uint32)
    check(rows, 65_536 * len(kinds))
    check(rows, 65_536 * len(kinds) + 70_000)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 140_000), max_size=50), st.lists(st.tuples(st.integers(0, 140_000), st.integers(1, 9_000)))
)
def test_made_rows(rows: list[int], runs: list[tuple[int, int]]) -> None:
    spread = [np.arange(first, first + length) for first, length in runs[:4]]
    every = np.concatenate([np.array(rows, np.int64), *spread]).astype(np.uint32)
    check(every, int(every.max(initial=0)) + 1)


def test_no_rows() -> None:
    assert not bitmap_of(np.zeros(0, np.int64))
    assert bits_of(BitMap(), 0).shape == (SPARE_BYTES,)
    assert not bitmap_of_bits(np.zeros(SPARE_BYTES, np.uint8), 0)
