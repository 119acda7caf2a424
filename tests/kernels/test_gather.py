"""Records of rows, gathered from pages at addresses."""

import numpy as np

from pqdb.kernels.gather import gather_records
from tests.kernels.families import at


def test_first_and_last_words_of_each_row_and_what_they_have_in_common(rng: np.random.Generator) -> None:
    pages = [rng.integers(0, 2**63, (5, 3)).astype(np.uint64) for _ in range(4)]  # 5 records of 24 bytes a page
    rows = rng.permutation(20)[:13].astype(np.uint32)
    firsts, lasts = np.empty(13, np.uint64), np.empty(13, np.uint64)
    every = gather_records(np.array([at(page) for page in pages], np.uint64), 5, 24, 16, rows, firsts, lasts)
    whole = np.concatenate(pages)[rows]
    assert np.array_equal(firsts, whole[:, 0])
    assert np.array_equal(lasts, whole[:, 2])
    assert int(every) == int(np.bitwise_or.reduce(whole[:, 2]))


def test_no_rows_have_nothing_in_common() -> None:
    nothing = np.empty(0, np.uint64)
    assert gather_records(np.zeros(1, np.uint64), 5, 24, 16, np.empty(0, np.uint32), nothing, nothing) == 0
