"""Coded rows that are in no list: whoever could reach the cut is scored, by the naive bound."""

import numpy as np
import pytest

from pqdb.kernels.fresh import rows_with_fresh
from pqdb.quantization.pack import group_bytes, pack_list
from tests.kernels.families import at

N_LISTS, GROUPS, FIRST, QUERIES = 7, 5, 1_000, 3
PLACES = 32 * GROUPS


@pytest.mark.parametrize("bias", [False, True], ids=["inner product", "l2"])
@pytest.mark.parametrize("nbits", [4, 8])
@pytest.mark.parametrize("moved", [0, 32, 45])
def test_rows_whose_naive_bound_reaches_the_cut(rng: np.random.Generator, nbits: int, bias: bool, moved: int) -> None:
    """`moved` of them have come into lists since."""
    m, kind, top = 8, (np.uint8 if nbits == 4 else np.uint16), 127 if nbits == 4 else 65_535
    codes = rng.integers(0, 1 << nbits, (PLACES, m)).astype(np.uint8)
    scales = rng.uniform(0.1, 2, PLACES).astype(np.float16).astype(np.float32)
    biases = rng.uniform(-3, 0, PLACES).astype(np.float16).astype(np.float32) if bias else None
    rows = np.arange(FIRST, FIRST + PLACES, dtype=np.uint32)
    records = pack_list(codes, scales, biases, rows, nbits)
    lists = rng.integers(0, N_LISTS, PLACES).astype(np.uint32)
    every = -rng.uniform(0.5, 2, (QUERIES, N_LISTS)).astype(np.float32)
    margins, noise = np.full((QUERIES, 2), 0.3, np.float32), np.float32(0.1)
    tables = rng.integers(0, top + 1, (QUERIES, m, 1 << nbits)).astype(kind)
    coefficients = np.stack([np.full(QUERIES, 1 / top), rng.standard_normal(QUERIES)], axis=1).astype(np.float32)
    allowed = rng.integers(0, 256, (FIRST + PLACES) // 8 + 8).astype(np.uint8)

    sums = np.array([[tables[q][np.arange(m), code].sum() for code in codes.astype(int)] for q in range(QUERIES)])
    a, b = coefficients[:, :1].astype(np.float64), coefficients[:, 1:].astype(np.float64)
    centroid = every[:, lists].astype(np.float64)
    g = 2 * float(noise) * np.sqrt(-centroid) if bias else np.full_like(centroid, 0.3)
    bounds = centroid + (0 if biases is None else biases) + scales * (b + a * sums) + scales * g
    cuts = np.quantile(bounds, 0.6, axis=1).astype(np.float32)
    may = (allowed[rows >> 3] >> (rows & 7)) & 1 & (rows >= FIRST + moved)

    best = np.array([5, 6, 7, 8, 9], np.uint32)  # two rows of the first query, none, three
    firsts, found = np.array([0, 2, 2]), np.array([2, 0, 3], np.int32)
    joined = rows_with_fresh(
        nbits, m, group_bytes(m, nbits, bias), bias, at(records), lists, FIRST, FIRST + moved, every, margins, noise,
        tables, coefficients, cuts, allowed, best, firsts, found,
    )  # fmt: skip
    for q, before in enumerate(([5, 6], [], [7, 8, 9])):
        mine = joined[firsts[q] : firsts[q] + found[q]].tolist()
        assert mine[: len(before)] == before
        sure, near = (rows[may.astype(bool) & (bounds[q] >= cuts[q] + slack)] for slack in (1e-5, -1e-5))
        assert set(sure.tolist()) <= set(mine[len(before) :]) <= set(near.tolist())
        assert len(mine) == len(set(mine))
