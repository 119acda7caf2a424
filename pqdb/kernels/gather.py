"""Records of rows that lie in pages at addresses: one look at each."""

import numpy as np

from pqdb.kernels._jit import kernel
from pqdb.kernels._types import Array, Whole
from pqdb.kernels.intrinsics import load_u64, prefetch


@kernel
def gather_records(
    pages: Array,  # (p,) uint64 addresses
    rows_per_page: Whole,
    record_bytes: Whole,
    last: Whole,  # offset of a record's last word
    rows: Array,  # (n,) uint32
    firsts: Array,  # (n,) uint64 out: the first word of each record
    lasts: Array,  # (n,) uint64 out: its last word
) -> Whole:
    """First and last word of each row's record; returns all last words or-ed together."""
    every = np.uint64(0)
    for i in range(rows.shape[0]):  # they lie far apart: ask for all of them before the first is needed
        page = np.int64(rows[i]) // rows_per_page
        prefetch(pages[page] + np.uint64((np.int64(rows[i]) - page * rows_per_page) * record_bytes))
    for i in range(rows.shape[0]):
        page = np.int64(rows[i]) // rows_per_page
        record = pages[page] + np.uint64((np.int64(rows[i]) - page * rows_per_page) * record_bytes)
        firsts[i] = load_u64(record)
        lasts[i] = load_u64(record + np.uint64(last))
        every |= lasts[i]
    return every
