"""Sparse vectors compared with a query: in segments and one by one they score what plain arithmetic says."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from pqdb.kernels import sparse as kernels
from pqdb.store import segments
from tests import naive
from tests.kernels.families import at

ROWS = segments.SEGMENT_ROWS
PART = 256
LAST_DIM = 2**32 - 1
ALL = np.zeros(0, np.uint8)
Vectors = dict[int, dict[int, float]]  # row → dimension → weight


@dataclass
class Laid:
    """Vectors as kernels take them: those of full segments and of shorter parts turned round, the rest one behind the
    other.
    """

    values: list[np.ndarray]  # of the segments; they live as long as their addresses are needed
    segments: np.ndarray
    bases: np.ndarray
    sizes: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    dims: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, vectors: Vectors, n_segments: int, n_parts: int = 0) -> Laid:
        ends = [ROWS * number for number in range(n_segments + 1)]
        ends += [ends[-1] + PART * number for number in range(1, n_parts + 1)]
        values = [turned(vectors, first, stop) for first, stop in pairwise(ends)]
        loose = sorted(row for row in vectors if row >= ends[-1])
        pairs = [sorted(vectors[row].items()) for row in loose]
        flat = [pair for each in pairs for pair in each]
        return cls(
            values,
            np.array([at(value) if len(value) else 0 for value in values], np.uint64),
            np.array(ends[:-1], np.int64),
            np.diff(np.array(ends, np.int64)),
            np.array(loose, np.uint32),
            np.concatenate(([0], np.cumsum([len(each) for each in pairs]))).astype(np.int64),
            np.array([dim for dim, _ in flat], np.uint32),
            np.array([weight for _, weight in flat], np.float32),
        )

    def search(self, query: dict[int, float], k: int, allowed: np.ndarray, n_rows: int) -> list[tuple[float, int]]:
        """(score, row) of what is found; what the kernel leaves in the other places is checked."""
        dims, asked = asked_for(query)
        best, rows = np.full(k, np.nan, np.float32), np.full(k, 77, np.uint32)
        loose = self.rows, self.starts, self.dims, self.weights
        found = kernels.search_sparse(
            dims, asked, self.segments, self.bases, self.sizes, *loose, allowed, n_rows, best, rows
        )
        assert np.all(best[found:] == -np.inf)
        assert not rows[found:].any()
        return list(zip(best[:found].tolist(), rows[:found].tolist(), strict=True))

    def count(self, dims: list[int], live: np.ndarray, n_rows: int) -> list[int]:
        counts = np.full(len(dims), -1, np.int64)
        asked = np.array(dims, np.uint32)
        loose = self.rows, self.starts, self.dims
        kernels.count_rows(asked, self.segments, self.bases, *loose, live, n_rows, counts)
        return counts.tolist()


def turned(vectors: Vectors, first: int, stop: int) -> np.ndarray:
    """The value of a segment, as a store has it; nothing where no row of it has a vector."""
    held = {row: vectors[row] for row in sorted(vectors) if first <= row < stop and vectors[row]}
    if not held:
        return np.zeros(0, np.uint64)
    stored = [
        np.array(sorted(each), "<u4").tobytes() + np.array([each[dim] for dim in sorted(each)], "<f4").tobytes()
        for each in held.values()
    ]
    value = segments.to_bytes(segments.pairs_of([row - first for row in held], stored).in_order())
    return np.frombuffer(value, np.uint64).copy()  # (at an address that is a multiple of 4, as in the file)


def asked_for(query: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(sorted(query), np.uint32), np.array([query[dim] for dim in sorted(query)], np.float32)


def bitmap(rows: set[int], n_rows: int) -> np.ndarray:
    """As a snapshot has it, some bytes longer than it need be."""
    bits = np.zeros(n_rows, bool)
    bits[[row for row in rows if row < n_rows]] = True
    return np.concatenate((np.packbits(bits, bitorder="little"), np.zeros(8, np.uint8)))


def made(rng: np.random.Generator, rows: np.ndarray, names: np.ndarray, most: int = 6) -> Vectors:
    """Vectors of small whole weights, some negative, some none at all: their sums are exact, and many the same."""
    return {
        int(row): {
            int(dim): float(rng.choice([-2, -1, -0.0, 1, 1, 2, 3]))
            for dim in rng.choice(names, int(rng.integers(0, most + 1)), replace=False)
        }
        for row in rows
    }


NAMES = np.array([0, 1, 2, 5, 8, 13, 1_000, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 2, LAST_DIM])


LAID = [(0, 0, 0), (0, 0, 1), (0, 0, 900), (1, 0, 0), (1, 0, 200), (0, 3, 40), (3, 4, 500)]


@pytest.mark.parametrize(("n_segments", "n_parts", "n_loose"), LAID)
@pytest.mark.parametrize("k", [1, 10, 400])
def test_the_best_are_those_of_plain_arithmetic(
    rng: np.random.Generator, n_segments: int, n_parts: int, n_loose: int, k: int
) -> None:
    n_rows = n_segments * ROWS + n_parts * PART + n_loose
    some = rng.choice(n_rows, min(n_rows, 1_200), replace=False) if n_rows else np.zeros(0, np.int64)
    vectors = made(rng, some, NAMES)
    laid = Laid.of(vectors, n_segments, n_parts)
    everyone = set(range(n_rows))
    for share in (1.0, 0.5, 0.01, 0.0):
        allowed = {row for row in everyone if rng.random() < share}
        bits = ALL if share == 1.0 else bitmap(allowed, n_rows)
        for n_asked in (0, 1, 3, 8):
            query = {int(dim): float(rng.integers(-2, 4)) for dim in rng.choice(NAMES, n_asked, replace=False)}
            query |= {77: 1.0} if n_asked == 3 else {}  # which nobody names
            assert laid.search(query, k, bits, n_rows) == naive.search.sparse(query, vectors, allowed, k)
    dims = sorted({*NAMES.tolist(), 77})
    half = set(rng.permutation(n_rows)[: n_rows // 2].tolist())
    for rows, bits in ((everyone, ALL), (half, bitmap(half, n_rows)), (set(), bitmap(set(), n_rows))):
        assert laid.count(dims, bits, n_rows) == [naive.search.naming(dim, vectors, rows) for dim in dims]


def words(rng: np.random.Generator, n: int, signed: bool) -> dict[int, float]:
    """As texts have them: a few words are everywhere, most are rare, and count the more."""
    dims = np.unique((80 * rng.random(n) ** 3).astype(int))
    weights = rng.random(len(dims)) * (1 + dims / 8) * (rng.choice([-1, 1], len(dims)) if signed else 1)
    return dict(zip(dims.tolist(), weights.astype(np.float32).tolist(), strict=True))


@pytest.mark.parametrize("signed", [False, True])
def test_any_weights_come_as_near_as_single_precision(rng: np.random.Generator, signed: bool) -> None:
    n_rows = 3 * ROWS + 2 * PART + 100
    rows = rng.choice(n_rows, 1_500, replace=False)
    vectors = {int(row): words(rng, 15, signed) for row in rows}
    laid = Laid.of(vectors, 3, 2)
    for k in (1, 2, 5, 20, 100, 600) * 4:
        query = words(rng, int(rng.integers(1, 15)), signed)
        found = laid.search(query, k, ALL, n_rows)
        said = naive.search.sparse(query, vectors, set(vectors), 1_500)
        assert len(found) == min(k, len(said))
        assert np.allclose([score for score, _ in found], [score for score, _ in said[:k]], rtol=1e-5, atol=1e-5)
        by_row = {row: score for score, row in said}
        assert all(abs(by_row[row] - score) < 1e-4 for score, row in found)


@pytest.mark.parametrize("signed", [False, True])
def test_more_hits_begin_with_those_of_fewer(rng: np.random.Generator, signed: bool) -> None:
    """Also where many vectors are the same: else pages of hits would show one twice, and another never."""
    kinds = [words(rng, 30, signed) for _ in range(10)]
    n_rows = 4 * ROWS + 2 * PART + 100
    vectors = {int(row): kinds[int(rng.integers(0, 10))] for row in rng.choice(n_rows, 2_500, replace=False)}
    laid = Laid.of(vectors, 4, 2)
    for _ in range(10):
        query = words(rng, 20, signed)
        everything = laid.search(query, n_rows, ALL, n_rows)
        assert [row for _, row in everything] == [
            row for _, row in sorted(everything, key=lambda each: (-each[0], each[1]))
        ]
        for k in (1, 2, 3, 5, 10, 30, 100, 1_000):
            assert laid.search(query, k, ALL, n_rows) == everything[:k]


@pytest.mark.parametrize("most", [1e8, 1e30])
def test_a_weight_beyond_all_others_hides_nothing(most: float) -> None:
    """What the rest can add to a row is not lost in what that one can."""
    last = {2 * ROWS + 1: {2: 1.0}, 2 * ROWS + 2: {2: 0.5}}
    for length in (1, 3_000):  # of the list that the weight is in
        vectors: Vectors = {row: {2: 1.0, 3: 1.0} for row in range(0, 200, 5)} | last
        vectors |= {row: {1: 1e-3} for row in range(201, 201 + length)} | {7: {1: most}}
        laid = Laid.of(vectors, 2)
        query = {1: 1.0, 2: 1.0, 3: 1.0}
        for k in (1, 2, 3, 40):
            assert laid.search(query, k, ALL, 3 * ROWS) == single(naive.search.sparse(query, vectors, set(vectors), k))
        allowed = set(vectors) - {7}
        found = laid.search(query, 2, bitmap(allowed, 3 * ROWS), 3 * ROWS)
        assert found == naive.search.sparse(query, vectors, allowed, 2)


def single(found: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """In single precision."""
    return [(float(np.float32(score)), row) for score, row in found]


def test_the_smaller_row_comes_first_among_equals_wherever_they_lie(rng: np.random.Generator) -> None:
    weights = {int(dim): float(np.float32(rng.normal())) for dim in range(9)}
    rows = [3, 4_000, ROWS, ROWS + 5, 2 * ROWS, 2 * ROWS + 1, 2 * ROWS + 300]
    laid = Laid.of(dict.fromkeys(rows, weights), 2)
    query = {dim: float(np.float32(rng.normal())) for dim in range(9)}
    for k in (1, 3, 5, 7, 20):
        assert [row for _, row in laid.search(query, k, ALL, 3 * ROWS)] == rows[:k]


def test_rows_behind_the_last_are_not_there(rng: np.random.Generator) -> None:
    vectors = {row: {7: 1.0} for row in (0, 5, ROWS - 1, ROWS, ROWS + 1, ROWS + 9)}
    laid = Laid.of(vectors, 1)
    for n_rows in (0, 1, 5, 6, ROWS, ROWS + 1, ROWS + 9, ROWS + 10):
        there = [row for row in vectors if row < n_rows]
        assert [row for _, row in laid.search({7: 1.0}, 9, ALL, n_rows)] == there
        assert laid.count([7], ALL, n_rows) == [len(there)]


def test_a_full_segment_of_rows_that_all_name_the_same(rng: np.random.Generator) -> None:
    vectors = {row: {3: 1.0, 4: float(row % 7)} for row in range(ROWS)}
    laid = Laid.of(vectors, 1)
    assert laid.search({3: 1.0, 4: 1.0}, ROWS + 1, ALL, ROWS) == naive.search.sparse(
        {3: 1.0, 4: 1.0}, vectors, set(vectors), ROWS
    )
    assert laid.count([3, 4, 5], ALL, ROWS) == [ROWS, ROWS, 0]


def test_sums_of_one_segment_are_not_left_for_the_next(rng: np.random.Generator) -> None:
    """Also where a row was not allowed, or did not come among the best."""
    vectors = {0: {1: 5.0}, 1: {1: 1.0}, ROWS: {2: 1.0}, ROWS + 1: {1: 2.0}, 2 * ROWS + 1: {1: 3.0}}
    laid = Laid.of(vectors, 3)
    allowed = set(vectors) - {0}
    bits = bitmap(allowed, 3 * ROWS)
    for k in (1, 2, 5):
        assert laid.search({1: 1.0, 2: 1.0}, k, bits, 3 * ROWS) == naive.search.sparse(
            {1: 1.0, 2: 1.0}, vectors, allowed, k
        )


@pytest.mark.parametrize("weight", [1e-45, -1e-45, 3e38, -3e38, 0.0, -0.0])
def test_weights_at_the_ends_of_single_precision(weight: float) -> None:
    weight = float(np.float32(weight))
    laid = Laid.of({2: {LAST_DIM: weight}, ROWS + 2: {LAST_DIM: weight}}, 1)
    assert laid.search({LAST_DIM: 1.0}, 5, ALL, ROWS + 3) == [(weight, 2), (weight, ROWS + 2)]


def test_places_of_dimensions(rng: np.random.Generator) -> None:
    dims = np.unique(rng.integers(0, 2**32, 50)).astype(np.uint32)
    for first, stop in ((0, 50), (10, 20), (5, 5), (0, 1)):
        part = dims[first:stop].tolist()
        for dim in [0, LAST_DIM, *dims.tolist(), *(dims[:-1] + 1).tolist()]:
            wanted = first + part.index(dim) if dim in part else -1
            assert kernels.place_of(dims, first, stop, np.uint32(dim)) == wanted


def test_kernels_and_store_mean_the_same_segment() -> None:
    assert (kernels.SEGMENT_ROWS, kernels.HEADER_BYTES) == (segments.SEGMENT_ROWS, segments.HEADER_BYTES)


@pytest.mark.parametrize("ends", [0, 1 << 30, LAST_DIM])
def test_damaged_ends_of_dimensions_lead_nowhere_else(ends: int) -> None:
    rng = np.random.default_rng(3)
    vectors = {row: {int(dim): 1.0 for dim in rng.integers(0, 40, 5)} for row in range(ROWS + 10)}
    laid = Laid.of(vectors, 1)
    words, query = laid.values[0].view(np.uint32), {3: 1.0, 5: 2.0, 39: 1.0}
    n_dims, n_pairs = words[2:4].tolist()
    starts = words[4 + n_dims : 5 + 2 * n_dims]
    starts[rng.permutation(len(starts))[: len(starts) // 2]] = ends
    for k in (1, 10, ROWS + 10):
        found = laid.search(query, k, ALL, ROWS + 10)
        assert all(row < ROWS + 10 and np.isfinite(score) for score, row in found)
    assert all(0 <= count <= n_pairs + 10 for count in laid.count(sorted(query), ALL, ROWS + 10))
