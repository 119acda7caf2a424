"""Records of rows that lie in pages at addresses: one look at each."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Whole
from pqdb.kernels.intrinsics import load_u64, prefetch


@kernel_inline
def record_at(pages: Array, rows_per_page: Whole, record_bytes: Whole, row: Whole) -> Address:
    """The address of a row's record."""
    page = np.int64(row) // rows_per_page
    return pages[page] + np.uint64((np.int64(row) - page * rows_per_page) * record_bytes)


@kernel
def write_answers(
    pages: Array,  # (p,) uint64 addresses
    rows_per_page: Whole,
    record_bytes: Whole,
    last: Whole,  # offset of a record's last word
    values: Array,  # (q, k) float32, −inf where nothing was found
    rows: Array,  # (q, k) uint32
    answers: Array,  # (q, k) frame.ANSWER out
) -> tuple[Whole, Whole]:
    """What was found, with the first and the last word of each row's record.

    Returns how many places are filled, and all last words or-ed together.
    """
    found, every = 0, np.uint64(0)
    for q in range(rows.shape[0]):
        for i in range(rows.shape[1]):  # they lie far apart: ask for all of them before the first is needed
            if values[q, i] > -np.inf:
                prefetch(record_at(pages, rows_per_page, record_bytes, rows[q, i]))
        for i in range(rows.shape[1]):
            first, tail = np.uint64(0), np.uint64(0)
            if values[q, i] > -np.inf:
                record = record_at(pages, rows_per_page, record_bytes, rows[q, i])
                first, tail = load_u64(record), load_u64(record + np.uint64(last))
                found += 1
                every |= tail
            answers[q, i]["id"], answers[q, i]["tail"] = first, tail
            answers[q, i]["value"], answers[q, i]["row"] = values[q, i], rows[q, i]
    return found, every
