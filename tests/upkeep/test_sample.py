"""The rows that a generation is measured on, and the lists that are left out for them."""

import numpy as np

from pqdb.upkeep.sample import LONGEST, Sample, without_own_lists

N = 1_000


def a_sample() -> tuple[Sample, np.ndarray]:
    """100 rows of 1,000 in nine lists, of which the first is longer than others and a tenth row is in none; and how
    long lists are.
    """
    rng = np.random.default_rng(1)
    lists = rng.integers(0, 9, N).astype(np.int32)
    lists[:200], lists[::10] = 0, -1
    counts = np.bincount(lists[lists >= 0], minlength=9).astype(np.uint32)
    assert counts[0] > LONGEST * counts.mean() > counts[1:].max()
    rows = rng.permutation(N)[:100]
    return Sample(np.zeros((100, 4), np.float32), rows, N, lists), counts


def test_lists_that_are_too_long_or_the_only_one_are_not_left_out() -> None:
    sample, counts = a_sample()
    lists = sample.list_of_row[sample.rows[:60]]
    assert (sample.with_lists_to_leave(60, counts) == np.flatnonzero(lists > 0)).all()
    alone = Sample(sample.vectors, sample.rows, N, np.where(sample.list_of_row < 0, -1, 0).astype(np.int32))
    assert len(alone.with_lists_to_leave(60, np.array([900, 0], np.uint32))) == 0


def test_what_is_left_is_all_that_was_allowed_but_for_a_rows_own_list() -> None:
    sample, counts = a_sample()
    allowed = np.random.default_rng(2).random(N) < 0.7
    bits = np.append(np.packbits(allowed, bitorder="little"), np.zeros(8, np.uint8))
    which = sample.with_lists_to_leave(100, counts)
    rest = without_own_lists(sample, which, bits)
    for number, place in enumerate(which.tolist()):
        left = np.unpackbits(rest(number), bitorder="little")[:N].astype(bool)
        assert (left == (allowed & (sample.list_of_row != sample.list_of_row[sample.rows[place]]))).all()
    assert (bits[: N // 8] == np.packbits(allowed, bitorder="little")).all(), "what was allowed stays as it is"
