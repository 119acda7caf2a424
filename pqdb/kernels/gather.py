"""Records of rows that lie in pages at addresses, and rows by the lists they lie in: one look at each."""

import numpy as np

from pqdb.kernels._jit import kernel, kernel_inline
from pqdb.kernels._types import Address, Array, Real, Whole
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


@kernel
def meet_rows(
    rows: Array,  # (n,) uint32, list by list
    starts: Array,  # (n_lists + 1,) int64: those of list i are starts[i]:starts[i + 1]
    lists: Array,  # (p,) int32 in the order they are passed
    allowed: Array,  # uint8 bitmap of rows
    once: Whole,
    twice: Whole,
    most: Real,
) -> tuple[Real, Real, Whole, Whole]:
    """Pass lists until `twice` rows that a bitmap allows are met, or more than `most` rows passed.

    Returns how many rows were passed until `once` allowed ones were met, and until `twice` (inside a list they are
    taken to lie evenly; all rows passed where there were fewer), and the number of allowed ones and of all.
    """
    met, passed = 0, 0
    at_once, at_twice = -1.0, -1.0
    for number in lists:
        here = 0
        for i in range(starts[number], starts[number + 1]):
            here += (allowed[rows[i] >> 3] >> (rows[i] & 7)) & 1
        size = starts[number + 1] - starts[number]
        if at_once < 0 and met + here >= once:
            at_once = passed + size * (once - met) / here
        if met + here >= twice:
            at_twice = passed + size * (twice - met) / here
        met += here
        passed += size
        if met >= twice or passed > most:
            break
    return (at_once if at_once >= 0 else passed), (at_twice if at_twice >= 0 else passed), met, passed


@kernel
def divide_rows(lists: Array, rows: Array, few: Whole, counts: Array, others: Array) -> Whole:
    """How many of some rows (m,) uint32 each list holds, counts (n_lists,) int32 out, and the rows of lists that hold
    no more than `few`, others (m,) uint32 out, of which the number is returned. lists: the list of each row.
    """
    counts[:] = 0
    for row in rows:
        counts[lists[row]] += 1
    n = 0
    for row in rows:
        if counts[lists[row]] <= few:
            others[n] = row
            n += 1
    return n
