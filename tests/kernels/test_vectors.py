"""Products and distances of vectors at addresses, for every form of row and every tail."""

import numpy as np
import pytest

from pqdb.kernels.vectors import FLOAT16, FLOAT32, INT8, distance, dot, l1_distance, quantize_i8
from tests import naive
from tests.kernels.families import at

SIZES = [1, 2, 15, 16, 17, 31, 32, 65, 100, 384, 1536]
DTYPES = {FLOAT32: np.float32, FLOAT16: np.float16, INT8: np.int8}
forms = pytest.mark.parametrize("kind", [FLOAT32, FLOAT16, INT8], ids=["float32", "float16", "int8"])


def a_row(rng: np.random.Generator, kind: int, size: int) -> np.ndarray:
    if kind == INT8:
        return rng.integers(-127, 128, size).astype(np.int8)
    return rng.standard_normal(size).astype(DTYPES[kind])


def unaligned(array: np.ndarray) -> np.ndarray:
    """The same bytes one byte past an even address, as they may lie in a memory map."""
    room = np.empty(array.nbytes + 1, np.uint8)
    room[1:] = array.view(np.uint8)
    return room[1:]


@forms
@pytest.mark.parametrize("size", SIZES)
def test_products_and_distances_are_numpys(rng: np.random.Generator, kind: int, size: int) -> None:
    row, query = a_row(rng, kind, size), rng.standard_normal(size).astype(np.float32)
    wide, q = row.astype(np.float64), query.astype(np.float64)
    there = unaligned(row)
    address = at(there)
    added = float(np.abs(wide * q).sum())
    assert dot(kind, address, at(query), size) == pytest.approx(float(wide @ q), rel=1e-6, abs=1e-6 * added)
    scale = np.float32(0.01 if kind == INT8 else 1)
    true = float(((q - float(scale) * wide) ** 2).sum())
    assert distance(kind, address, at(query), size, scale) == pytest.approx(true, rel=2e-6)
    sizes = float(np.abs(q - float(scale) * wide).sum())
    assert l1_distance(kind, address, at(query), size, scale) == pytest.approx(sizes, rel=2e-6)


def test_nothing_past_the_row_is_read_into_the_result(rng: np.random.Generator) -> None:
    row, query = np.full(64, np.nan, np.float32), np.full(64, np.nan, np.float32)
    row[:19], query[:19] = rng.standard_normal((2, 19))
    assert np.isfinite(dot(FLOAT32, at(row), at(query), 19))
    assert np.isfinite(distance(FLOAT32, at(row), at(query), 19, np.float32(1)))
    assert np.isfinite(l1_distance(FLOAT32, at(row), at(query), 19, np.float32(1)))


@pytest.mark.parametrize("size", [1, 63, 64, 100])
def test_int8_of_a_query_is_the_naive_one_with_zeros_behind(rng: np.random.Generator, size: int) -> None:
    vector, out = rng.standard_normal(size).astype(np.float32), np.full(128, 99, np.int8)
    scale = quantize_i8(vector, out)
    steps, true = naive.search.to_int8(vector.astype(np.float64))
    assert scale == pytest.approx(true, rel=1e-6)
    assert np.abs(out[:size].astype(int) - steps).max() <= 1
    assert not out[size:].any()
    np.testing.assert_allclose(out[:size] * scale, vector, atol=0.5001 * scale)


def test_int8_of_a_zero_query_is_zero() -> None:
    out = np.full(64, 99, np.int8)
    assert quantize_i8(np.zeros(5, np.float32), out) == 0
    assert not out.any()
