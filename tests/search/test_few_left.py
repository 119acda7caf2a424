"""Where few points are left of many, all of them are compared: lists made for the many have next to nothing in them."""

import numpy as np
import pytest

import pqdb
from pqdb.kernels.exact import BLOCK
from pqdb.kernels.places import any_allowed
from tests.data import clustered

DIM, MANY, LEFT, K = 16, 6_000, 900, 20


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_collection_that_most_points_left_is_searched_exactly(metric: str) -> None:
    vectors = clustered(MANY, DIM, seed=5)
    with pqdb.open(upkeep="manual") as database:
        things = database.create_collection("things", DIM, metric)
        things.upsert(range(MANY), vectors, [{"even": i % 2 == 0} for i in range(MANY)])
        things.optimize()
        assert things.explain(vectors[0]).kind == "codes"
        things.search(vectors[0], K)
        things.delete(range(MANY - LEFT))
        odd = {"must": [{"key": "even", "match": {"value": False}}]}
        for _ in range(2):
            assert things.explain(vectors[0]).kind == "exact"
            for asked in (None, odd):
                found = things.search(vectors[:50], K, recall=0.9, filter=asked)
                assert (found.ids == things.search(vectors[:50], K, exact=True, filter=asked).ids).all()
                assert things.search(vectors[7], K, recall=0.9, filter=asked).ids == found[7].ids
            assert things.measure_recall(K).recall == 1.0
            things.optimize()
        things.upsert(range(MANY), vectors)
        things.optimize()
        assert things.explain(vectors[0]).kind == "codes"


def test_without_source_vectors_codes_are_all_there_is() -> None:
    vectors = clustered(MANY, DIM, seed=5)
    with pqdb.open(upkeep="manual") as database:
        things = database.create_collection("things", DIM, source=None)
        things.upsert(range(MANY), vectors)
        things.optimize()
        things.delete(range(MANY - LEFT))
        assert things.explain(vectors[-1]).kind == "codes"
        assert things.search(vectors[-1], 1).ids == [MANY - 1]


def test_blocks_of_no_allowed_row_are_told_by_their_bytes() -> None:
    allowed = np.zeros(3 * BLOCK // 8 + 8, np.uint8)
    assert any_allowed(allowed[:0], 0, BLOCK)
    assert not any_allowed(allowed, 0, 3 * BLOCK)
    for row in (0, 7, BLOCK - 1, BLOCK, 2 * BLOCK + 5, 3 * BLOCK - 1):
        bits = allowed.copy()
        bits[row >> 3] = 1 << (row & 7)
        assert [any_allowed(bits, start, start + BLOCK) for start in range(0, 3 * BLOCK, BLOCK)] == [
            start <= row < start + BLOCK for start in range(0, 3 * BLOCK, BLOCK)
        ]
        assert any_allowed(bits, row, row + 1)
