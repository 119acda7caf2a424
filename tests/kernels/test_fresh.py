"""Coded rows that are in no list: those on their way to a probed list that could reach the cut, by the naive bound."""

import numpy as np
import pytest

from pqdb.kernels.fresh import rows_with_fresh
from pqdb.quantization.pack import group_bytes, pack_list
from tests.kernels.families import at

N_LISTS, CODES, FIRST, QUERIES, PROBED = 9, 150, 1_000, 3, 4


@pytest.mark.parametrize("bias", [False, True], ids=["inner product", "l2"])
@pytest.mark.parametrize("nbits", [4, 8])
@pytest.mark.parametrize(("moved", "all_may"), [(0, False), (45, False), (45, True)])
def test_rows_whose_naive_bound_reaches_the_cut(
    rng: np.random.Generator, nbits: int, bias: bool, moved: int, all_may: bool
) -> None:
    """`moved` of them have come into lists since; one list has none of them. Without a bitmap all may be found."""
    m, kind, top = 8, (np.uint8 if nbits == 4 else np.uint16), 127 if nbits == 4 else 65_535
    codes = rng.integers(0, 1 << nbits, (CODES, m)).astype(np.uint8)
    scales = rng.uniform(0.1, 2, CODES).astype(np.float16).astype(np.float32)
    biases = rng.uniform(-3, 0, CODES).astype(np.float16).astype(np.float32) if bias else None
    list_of = np.sort(rng.choice(np.delete(np.arange(N_LISTS), 5), CODES))
    begins = np.searchsorted(list_of, np.arange(N_LISTS + 1)).astype(np.int64)
    rows = (FIRST + rng.permutation(CODES)).astype(np.uint32)
    records = pack_list(codes, scales, biases, rows, nbits)
    lists = np.stack([rng.permutation(N_LISTS)[:PROBED] for _ in range(QUERIES)]).astype(np.int32)
    lists[1, 0], probed = 5, np.array([PROBED, 2, 3], np.int32)
    bases, margins = (-rng.uniform(0.1, 2, (QUERIES, PROBED)).astype(np.float32) for _ in range(2))
    margins, floors = -margins, np.array([0, 0.8, 1.5], np.float32)
    tables = rng.integers(0, top + 1, (QUERIES, m, 1 << nbits)).astype(kind)
    coefficients = np.stack([np.full(QUERIES, 1 / top), rng.standard_normal(QUERIES)], axis=1).astype(np.float32)
    allowed = rng.integers(0, 256, (FIRST + CODES) // 8 + 8).astype(np.uint8)

    bounds = np.full((QUERIES, CODES), -np.inf)
    for q in range(QUERIES):
        sums = np.array([tables[q][np.arange(m), code].sum() for code in codes.astype(int)])
        for p in range(probed[q]):
            there = list_of == lists[q, p]
            value = bases[q, p] + scales * (coefficients[q, 1] + coefficients[q, 0].astype(np.float64) * sums)
            value += 0 if biases is None else biases
            bounds[q, there] = (value + np.maximum(scales, floors[q]) * margins[q, p])[there]
    cuts = np.array([np.quantile(row[np.isfinite(row)], 0.4) for row in bounds], np.float32)
    may = (((allowed[rows >> 3] >> (rows & 7)) & 1).astype(bool) | all_may) & (rows >= FIRST + moved)

    best = np.array([5, 6, 7, 8, 9], np.uint32)  # two rows of the first query, none, three
    firsts, found = np.array([0, 2, 2]), np.array([2, 0, 3], np.int32)
    joined = rows_with_fresh(
        nbits, m, group_bytes(m, nbits, bias), bias, at(records), rows, begins, FIRST + moved, lists, probed, bases,
        margins, floors, tables, coefficients, cuts, allowed[:0] if all_may else allowed, best, firsts, found,
    )  # fmt: skip
    for q, before in enumerate(([5, 6], [], [7, 8, 9])):
        mine = joined[firsts[q] : firsts[q] + found[q]].tolist()
        assert mine[: len(before)] == before
        sure, near = (rows[may & (bounds[q] >= cuts[q] + slack)] for slack in (1e-5, -1e-5))
        assert len(sure)
        assert set(sure.tolist()) <= set(mine[len(before) :]) <= set(near.tolist())
        assert len(mine) == len(set(mine))
