"""Distance tables against numpy: entries within rounding, and what they add up to."""

import numpy as np
import pytest

from pqdb.kernels import tables
from pqdb.partition.router import banked, int8_rows
from tests import naive


def built(queries: np.ndarray, codewords: np.ndarray, bounds: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    ksub = codewords.shape[1]
    out = np.full((len(queries), len(bounds) - 1, ksub), 99, np.uint8 if ksub == 16 else np.uint16)
    coefficients = np.empty((len(queries), 2), np.float32)
    top = 127 if ksub == 16 else 65_535
    tables.build_tables(queries, codewords, bounds, beta, top, out, coefficients)
    return out, coefficients


@pytest.mark.parametrize("ksub", [16, 256])
@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("widths", [[4, 4, 4, 4], [1, 2, 0, 7], [3, 0, 0, 0], [16, 1, 12, 6, 2, 1, 1, 1]])
def test_entries_are_the_naive_ones_to_within_rounding(
    rng: np.random.Generator, ksub: int, beta: float, widths: list[int]
) -> None:
    bounds = np.cumsum([0, *widths]).astype(np.int32)
    codewords = rng.standard_normal((bounds[-1], ksub)).astype(np.float32)
    queries = rng.standard_normal((3, bounds[-1])).astype(np.float32)
    found, coefficients = built(queries, codewords, bounds, beta)
    top = 127 if ksub == 16 else 65_535
    for query, entries, (a, b) in zip(queries, found, coefficients, strict=True):
        true, true_a, true_b = naive.search.table(query, bounds, codewords, beta, top)
        assert np.abs(entries.astype(np.int64) - true).max() <= 1  # a half rounded the other way
        assert a == pytest.approx(true_a, rel=1e-5)
        assert b == pytest.approx(true_b, rel=1e-5, abs=1e-5)
        assert entries.max() == top  # the widest row uses all levels
        assert not entries[np.flatnonzero(np.diff(bounds) == 0)].any()


def test_a_sum_of_entries_is_the_inner_product_to_within_half_a_step_each(rng: np.random.Generator) -> None:
    bounds = np.arange(0, 49, 4).astype(np.int32)
    codewords = rng.standard_normal((48, 16)).astype(np.float32)
    query = rng.standard_normal((1, 48)).astype(np.float32)
    found, coefficients = built(query, codewords, bounds, 1.0)
    a, b = coefficients[0].tolist()
    for code in rng.integers(0, 16, (50, 12)):
        row = np.concatenate([codewords[4 * j : 4 * j + 4, c] for j, c in enumerate(code)])
        estimate = b + a * int(found[0, np.arange(12), code].sum())
        assert abs(estimate - float(query[0] @ row)) <= 12 * a / 2 + 1e-4


@pytest.mark.parametrize("ksub", [16, 256])
def test_a_zero_query_and_equal_words_give_a_table_of_zeros(ksub: int) -> None:
    bounds = np.array([0, 2, 4, 4, 4], np.int32)
    for query, word in ((0.0, 1.0), (3.0, 1.0)):
        codewords = np.full((4, ksub), word, np.float32)
        found, coefficients = built(np.full((1, 4), query, np.float32), codewords, bounds, 1.0)
        assert not found.any()
        assert coefficients.tolist() == [[1.0, 4 * query * word]]


@pytest.mark.parametrize("dim", [3, 64, 100])
def test_a_query_is_rotated_to_within_the_rounding_of_int8(rng: np.random.Generator, dim: int) -> None:
    axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0][: max(1, dim // 2)].astype(np.float32)
    queries = rng.standard_normal((3, dim)).astype(np.float32)
    out = np.empty((3, len(axes)), np.float32)
    rows, scales = int8_rows(axes)
    tables.rotate(queries, banked(rows[:, :dim]), scales, out)
    step = np.abs(queries).max() / 127 + np.abs(axes).max() / 127 * np.linalg.norm(queries, axis=1).max()
    np.testing.assert_allclose(out, queries @ axes.T, atol=4 * step / 12**0.5)
