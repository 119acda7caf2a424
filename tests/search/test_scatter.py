"""How rows scatter about their centroids: measured, kept with the calibration, done without where it is not known."""

import json

import numpy as np
import pytest

import pqdb
from pqdb.kernels.cells import BELTS
from pqdb.search.plan import Calibration
from pqdb.search.scatter import NO_SCATTER, Scatter
from tests.compiled import compiled
from tests.data import clustered

pytestmark = compiled


def measured(rng: np.random.Generator, l2: bool, lengths: np.ndarray) -> Scatter:
    lists = rng.integers(0, 60, 4_000)
    centroids = rng.standard_normal((60, 16)).astype(np.float32)
    residuals = (rng.standard_normal((4_000, 16)) * 0.5 * lengths[lists, None]).astype(np.float32)
    queries = (3 * rng.standard_normal((50, 16))).astype(np.float32)
    place = np.argsort(np.argsort(-(queries @ centroids.T), axis=1), axis=1).astype(np.int32)
    others = np.ones((50, 4_000), np.bool_)
    return Scatter.measured(queries, place, others, residuals, lists, centroids, lengths, l2)


def share_above(scatter: Scatter, belt: int, units: float) -> float:
    shares = scatter.shares[belt]
    return float(np.interp(units, scatter.low + scatter.step * np.arange(len(shares)), shares))


def test_the_shares_of_a_gaussian_are_those_of_a_gaussian(rng: np.random.Generator) -> None:
    scatter = measured(rng, False, rng.uniform(0.5, 2, 60).astype(np.float32))
    assert scatter.shift == 0
    for belt in range(len(BELTS) + 1):
        assert scatter.shares[belt, 0] == pytest.approx(1, abs=0.01)
        assert scatter.shares[belt, -1] == 0
        assert (np.diff(scatter.shares[belt]) <= 0).all()
        for sigmas, share in ((0, 0.5), (1, 0.1587), (2, 0.0228)):
            assert share_above(scatter, belt, 0.5 * sigmas) == pytest.approx(share, abs=0.02)


def test_for_l2_rows_lie_farther_than_their_centroid_by_the_square_of_their_length(rng: np.random.Generator) -> None:
    scatter = measured(rng, True, rng.uniform(0.5, 2, 60).astype(np.float32))
    assert scatter.shift == pytest.approx(16 * 0.25, rel=0.05)
    assert share_above(scatter, 2, 0.0) == pytest.approx(0.5, abs=0.03)


def test_a_query_that_is_a_row_does_not_count_itself() -> None:
    queries = np.eye(4, dtype=np.float32)
    place, others = np.zeros((4, 1), np.int32), ~np.eye(4, dtype=np.bool_)
    one = np.ones(1, np.float32)
    scatter = Scatter.measured(
        queries, place, others, queries, np.zeros(4, np.int64), np.zeros((1, 4), np.float32), one, False
    )
    assert share_above(scatter, 0, 0.5) == 0


def test_with_nothing_to_measure_it_is_still_a_table() -> None:
    nothing = np.zeros((0, 4), np.float32)
    scatter = Scatter.measured(
        nothing, np.zeros((0, 1), np.int32), np.ones((0, 0), np.bool_), nothing, np.zeros(0, np.int64),
        np.zeros((1, 4), np.float32), np.ones(1, np.float32), True,
    )  # fmt: skip
    assert np.isfinite(scatter.shares).all()
    assert scatter.step > 0


def test_it_comes_back_from_json_and_older_calibrations_have_none(rng: np.random.Generator) -> None:
    scatter = measured(rng, False, np.ones(60, np.float32))
    made = Calibration(0.1, (1,), np.zeros(1, np.float32), np.ones((1, 10, 1), np.float32), scatter=scatter)
    back = Calibration.from_bytes(made.to_bytes()).scatter
    assert (back.low, back.step, back.shift) == (scatter.low, scatter.step, scatter.shift)
    np.testing.assert_array_equal(back.shares, scatter.shares)
    fields = json.loads(made.to_bytes())
    del fields["scatter"]
    assert Calibration.from_bytes(json.dumps(fields).encode()).scatter is NO_SCATTER
    fields["scatter"] = {"shares": 3}
    with pytest.raises(pqdb.CorruptError, match="the calibration is damaged"):
        Calibration.from_bytes(json.dumps(fields).encode())


def test_without_it_all_lists_that_hold_a_row_that_passes_are_scanned(db: pqdb.Database) -> None:
    """A generation built by an earlier version, until it is calibrated again."""
    things = db.create_collection("things", 96)
    things.create_payload_index("third", "bool")
    vectors = clustered(6_000, 96, seed=3)
    things.upsert(range(6_000), vectors, [{"third": i % 3 == 0} for i in range(6_000)])
    things.optimize()
    third = {"must": [{"key": "third", "match": {"value": True}}]}
    few = things.explain(vectors[0], 10, filter=third)
    generation, index = things.info()["generation"], things._index[2]
    fields = json.loads(index.calibration.to_bytes())
    del fields["scatter"]
    with things._blocks.write() as batch:
        batch.put_object(generation, "calibration", json.dumps(fields).encode())
    all_of_them = things.explain(vectors[0], 10, filter=third)
    assert few.filter is not None
    assert few.filter.way == "lists"
    assert few.lists < all_of_them.lists == all_of_them.n_lists
    exact = things.search(vectors[:50], 10, filter=third, exact=True)
    found = things.search(vectors[:50], 10, filter=third)
    assert np.mean([len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(exact, found, strict=True)]) > 0.99
