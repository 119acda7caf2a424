"""Exact scores from source rows: the last step of every search, and the whole of one in a young
collection."""

import numpy as np
import pytest

from pqdb.config import Source
from pqdb.kernels import exact
from pqdb.metric import check_metric, scores
from pqdb.quantization.source import KINDS, encode_source, row_bytes
from tests import naive
from tests.kernels.families import at

sources = pytest.mark.parametrize("source", ["float32", "float16", "int8"])
metrics = pytest.mark.parametrize("metric", ["dot", "l2", "l1"])
BY = {"dot": exact.PRODUCT, "l2": exact.SQUARES, "l1": exact.SIZES}


class Runs:
    """Source rows in runs of a few rows each, as the store keeps them."""

    def __init__(self, vectors: np.ndarray, source: Source, rows_per_run: int = 7) -> None:
        self.n, self.dim = vectors.shape
        self.kind, self.row_bytes, self.rows_per_run = (
            KINDS[source],
            row_bytes(self.dim, source),
            rows_per_run,
        )
        self.rows = encode_source(vectors, source)
        self.parts = [self.rows[i : i + rows_per_run].copy() for i in range(0, self.n, rows_per_run)]
        self.addresses = np.array([at(part) for part in self.parts], np.uint64)

    def finish(
        self, queries: np.ndarray, k: int, *, by: int, candidates: list[int], fresh: int,
        allowed: np.ndarray,
        estimates: np.ndarray | None = None, unit: float = 1.0,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """The same candidates for every query."""
        q = len(queries)
        values, rows = np.empty((q, k), np.float32), np.empty((q, k), np.uint32)
        guesses = np.zeros(len(candidates), np.float32) if estimates is None else estimates
        exact.finish(
            self.kind, by, queries, self.addresses, self.rows_per_run, self.row_bytes, np.array(candidates,
            np.uint32),
            guesses, np.zeros(q, np.int64), np.full(q, len(candidates), np.int32), estimates is None, unit,
            fresh, self.n, allowed, np.empty(exact.SCORED, np.float32), values, rows,
        )  # fmt: skip
        return values, rows


def everyone(n: int) -> np.ndarray:
    return np.full(n // 8 + 9, 255, np.uint8)


@sources
@metrics
@pytest.mark.parametrize("dim", [1, 3, 16, 65])
def test_all_rows_compared_are_the_naive_answer(
    rng: np.random.Generator, source: Source, metric: str, dim: int
) -> None:
    vectors, queries = (rng.standard_normal((n, dim)).astype(np.float32) for n in (90, 3))
    runs = Runs(vectors, source)
    values, rows = runs.finish(queries, 8, by=BY[metric], candidates=[], fresh=0, allowed=everyone(90))
    true, _ = naive.search.nearest(queries.astype(float), naive.search.stored(vectors, source), metric, 8)
    found = scores(values, check_metric(metric))
    np.testing.assert_allclose(found, true, rtol=1e-4, atol=1e-5)
    again = naive.search.scores(queries.astype(float), naive.search.stored(vectors, source), metric)
    np.testing.assert_allclose(np.take_along_axis(again, rows.astype(int), axis=1), found, rtol=1e-4, atol=1e-5)


@metrics
def test_candidates_and_fresh_rows_compete_for_the_same_places(rng: np.random.Generator, metric: str) -> None:
    vectors, queries = (rng.standard_normal((n, 20)).astype(np.float32) for n in (60, 4))
    candidates = [3, 41, 7, 22, 0]
    seen = [*candidates, *range(50, 60)]
    values, rows = Runs(vectors, "float32").finish(
        queries, 6, by=BY[metric], candidates=candidates, fresh=50, allowed=everyone(60)
    )
    _, order = naive.search.nearest(queries.astype(float), vectors[seen].astype(float), metric, 6)
    assert np.array_equal(rows, np.array(seen)[order])
    assert np.all(np.diff(values, axis=1) <= 0)


def test_rows_that_are_not_allowed_are_not_found_and_missing_hits_are_minus_infinity(
    rng: np.random.Generator,
) -> None:
    vectors, queries = (rng.standard_normal((n, 5)).astype(np.float32) for n in (40, 2))
    alive = [2, 3, 17, 39]
    bits = np.zeros(8 * 14, np.uint8)
    bits[alive] = 1
    values, rows = Runs(vectors, "float32").finish(
        queries, 9, by=exact.PRODUCT, candidates=[], fresh=0, allowed=np.packbits(bits, bitorder="little")
    )
    assert all(sorted(row[:4].tolist()) == alive for row in rows)
    assert np.isfinite(values[:, :4]).all()
    assert np.all(values[:, 4:] == -np.inf)


def test_without_a_bitmap_every_row_may_be_found(rng: np.random.Generator) -> None:
    vectors, queries = (rng.standard_normal((n, 5)).astype(np.float32) for n in (40, 2))
    runs, how = Runs(vectors, "float32"), {"by": exact.PRODUCT, "candidates": [], "fresh": 0}
    found = [runs.finish(queries, 9, allowed=allowed, **how)[1] for allowed in (np.zeros(0, np.uint8), everyone(40))]
    assert np.array_equal(*found)


def test_estimates_stand_where_there_is_no_source(rng: np.random.Generator) -> None:
    """In their own unit they are multiplied back, so that fresh rows compare with them."""
    vectors = rng.standard_normal((4, 3)).astype(np.float32)
    guesses = np.array([-1.5, -0.25, -9.0], np.float32)
    values, rows = Runs(vectors, "float32").finish(
        vectors[:1],
        2,
        by=exact.SQUARES,
        candidates=[8, 6, 7],
        fresh=4,
        allowed=everyone(4),
        estimates=guesses,
        unit=4.0,
    )
    assert rows.tolist() == [[6, 8]]
    assert values.tolist() == [[-1.0, -6.0]]
