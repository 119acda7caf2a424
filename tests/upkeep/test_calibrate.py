"""Calibration: where the lists of true neighbours come in the order of probing."""

import numpy as np
import pytest

import pqdb
from pqdb.partition.router import Router
from pqdb.search.index import Index
from pqdb.upkeep import drift
from pqdb.upkeep.calibrate import (
    BEYOND_BINS,
    BINS,
    FEWEST_BEYOND,
    Asked,
    Sample,
    _bins,
    _lengths,
    _ranks_in_sample,
    _widths,
    calibration_queries,
    strangers,
)
from tests.data import clustered


def asked_of(rng: np.random.Generator, vectors: np.ndarray, n_lists: int, itself: np.ndarray) -> Asked:
    """Queries near rows, their lists in an order of their own."""
    queries = (vectors[itself] + 0.1 * rng.standard_normal((len(itself), vectors.shape[1]))).astype(np.float32)
    place = np.argsort(rng.random((len(itself), n_lists)), axis=1).astype(np.int32)
    return Asked(queries, itself, place, rng.integers(0, BINS, len(itself)), BINS)


@pytest.mark.parametrize("l2", [False, True])
def test_in_a_sample_of_all_rows_the_nearest_are_the_nearest(l2: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((900, 12)).astype(np.float32)
    rows, list_of_row = rng.permutation(900), rng.integers(0, 7, 900).astype(np.int32)
    asked = asked_of(rng, vectors, 7, np.arange(40))
    router = Router(l2, np.zeros(12, np.float32), 1.0, vectors[:7])
    found = _ranks_in_sample(router, asked, Sample(vectors[rows], rows, 900, list_of_row), 50)
    products = asked.queries.astype(np.float64) @ vectors.T
    values = products - (vectors.astype(np.float64) ** 2).sum(axis=1) / 2 if l2 else products
    values[np.arange(40), asked.itself] = -np.inf  # a query that is a row does not find itself
    nearest = np.argsort(-values, axis=1)[:, :50]
    assert (found == np.take_along_axis(asked.place, list_of_row[nearest], axis=1)).all()


def test_of_a_sample_as_large_a_share_is_looked_at_and_no_row_that_is_in_no_list() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((4_000, 8)).astype(np.float32)
    list_of_row = np.full(4_000, -1, np.int32)
    list_of_row[100:] = rng.integers(0, 5, 3_900)
    rows = rng.permutation(4_000)[:1_000]
    asked = asked_of(rng, vectors, 5, np.full(3, -1))
    asked.place[:] = [0, 1, 2, 3, 4]  # list by list: a rank is a list
    router = Router(False, np.zeros(8, np.float32), 1.0, vectors[:5])
    found = _ranks_in_sample(router, asked, Sample(vectors[rows], rows, 4_000, list_of_row), 600)
    listed = rows[list_of_row[rows] >= 0]
    assert found.shape == (3, 150)
    nearest = listed[np.argsort(-(asked.queries @ vectors[listed].T), axis=1)][:, : found.shape[1]]
    assert (found == list_of_row[nearest]).all()


def test_about_so_many_queries_evenly() -> None:
    numbers = np.arange(2_500)
    asked = Asked(numbers[:, None].astype(np.float32), numbers, numbers[:, None], numbers % BINS, BINS)
    few = asked.spread(500)
    assert (few.itself == np.arange(0, 2_500, 5)).all()
    assert few.queries.flags.c_contiguous
    assert len(asked.spread(10_000).itself) == 2_500


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_made_queries_lie_as_far_from_the_mean_as_rows_but_for_l2(metric: str) -> None:
    """However much all rows have in common: a question that is hard is no nearer to what they share."""
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((600, 32)).astype(np.float32) + np.float32(3)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mean = rows.mean(axis=0)
    queries, n_rows = calibration_queries(rows, metric, seed=1, rows=300, made=100)
    assert n_rows == 300
    assert (queries[:300] == rows[:300] / (_lengths(rows[:300]) if metric == "cosine" else 1)).all()
    far = np.linalg.norm(queries - mean, axis=1)
    usual, made = np.median(far[:300]), [np.median(far[at : at + 100]) for at in (300, 400, 500)]
    if metric == "l2":
        assert made[1] < 0.6 * usual
        assert made[2] > 1.5 * usual
        return
    assert np.allclose(made, usual, rtol=0.1)
    alike = [np.mean((queries[300:] - mean) @ (row - mean) / (usual * usual)) for row in rows]
    assert max(alike) < 0.1, "they are made of many rows"


@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_strangers_share_some_of_the_mean_and_are_like_no_row(metric: str) -> None:
    rng = np.random.default_rng(6)
    rows = rng.standard_normal((600, 32)).astype(np.float32) + np.float32(3)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    others = strangers(rows, metric, seed=1, count=300)
    assert others.shape == (300, 32)
    mean = rows.mean(axis=0)
    if metric == "cosine":
        assert np.allclose(np.linalg.norm(others, axis=1), 1, rtol=1e-5)
        return
    shares = others @ mean / (mean @ mean)
    assert -0.5 < shares.min() < 0.1
    assert 0.9 < shares.max() < 1.5
    apart = others - np.clip(shares, 0, 1)[:, None] * mean
    assert np.median(np.linalg.norm(apart, axis=1)) == pytest.approx(32**0.5, rel=0.1)


def test_queries_without_what_all_rows_have_in_common_find_what_was_asked_for(db: pqdb.Database) -> None:
    """Of the rows' own kind there is none so far from all lists: two lists were looked into, whatever was asked."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((100, 16))
    rows, queries = (centres[rng.integers(0, 100, n)] + 0.5 * rng.standard_normal((n, 16)) for n in (12_000, 100))
    things = db.create_collection("things", 16, "dot")
    things.upsert(np.arange(12_000), (rows + 20).astype(np.float32))
    things.optimize()
    assert things.measure_recall(10, queries=queries.astype(np.float32), recall=0.99).recall > 0.965


def recall_and_lists(things: pqdb.Collection, k: int, asked: float) -> tuple[float, float]:
    report = things.measure_recall(k, recall=asked, sample=50)
    queries = things.scroll(30, with_vector=True).points
    return report.recall, float(np.mean([things.explain(each.vector, k, recall=asked).lists for each in queries]))


@pytest.mark.parametrize("offset", [0, 10_000])
def test_what_a_thousand_neighbours_take_is_learned_of_the_living(db: pqdb.Database, offset: float) -> None:
    """Rewritten eight times, most rows are dead; far from zero, products in float32 have no digits left."""
    vectors = clustered(8_000, 16, seed=3) + np.float32(offset)
    things = db.create_collection("things", 16, "l2")
    things.upsert(np.arange(8_000), vectors)
    things.optimize()
    before = recall_and_lists(things, 1_000, 0.95)
    for _ in range(8):
        things.upsert(np.arange(8_000), vectors)
    things.optimize()
    stores = things._tended.stores
    with stores.blocks.read() as blocks:
        index = Index.load(blocks)
    drift.recalibrate(stores, index, 1, lambda *_: None)
    after = recall_and_lists(things, 1_000, 0.95)
    assert min(before[0], after[0]) >= 0.93
    assert max(before[1], after[1]) <= 0.6 * things.info()["lists"]


def test_the_usual_queries_share_the_bins_evenly() -> None:
    best = np.random.default_rng(3).standard_normal(1_200).astype(np.float32)
    bins = _bins(best, 1_200)
    assert (np.bincount(bins) == 200).all()
    assert (np.diff(bins[np.argsort(best)]) >= 0).all()
    assert set(_bins(np.ones(50, np.float32), 50)) == {0}, "none can be told from another: one bin, and none is empty"


def test_made_queries_have_bins_below_those_of_rows_and_none_among_them() -> None:
    rng = np.random.default_rng(4)
    rows, among = rng.uniform(0, 1, 1_000), rng.uniform(0.3, 2, 200)
    for beyond in (rng.uniform(-3, -1, FEWEST_BEYOND), rng.uniform(-3, -1, FEWEST_BEYOND - 1)):
        bins = _bins(np.concatenate([rows, among, beyond]).astype(np.float32), 1_000)
        assert (bins[1_000:1_200] == -1).all()
        if len(beyond) == FEWEST_BEYOND:
            assert (np.bincount(bins[1_200:]) == FEWEST_BEYOND // BEYOND_BINS).all()
            assert sorted(set(bins[:1_000])) == list(range(BEYOND_BINS, BEYOND_BINS + BINS))
        else:
            assert (bins[1_200:] == -1).all(), "so few tell nothing"
            assert sorted(set(bins[:1_000])) == list(range(BINS))


def test_queries_between_rows_are_among_the_farthest_of_them_if_they_lie_there() -> None:
    rows = np.linspace(0, 1, 1_000)
    others = np.array([0.1, 0.5, 0.1, 0.5, 0.9])
    bins = _bins(np.concatenate([rows, others]).astype(np.float32), 1_000, between=3)
    assert bins[1_000:].tolist() == [-1, -1, 0, -1, -1], "the last three are; and of these one lies so far"


def test_a_bin_of_too_few_queries_is_taken_for_the_one_above_it() -> None:
    bins = np.array([0] * 4 + [1] * 40 + [2] * 40)
    ranks = np.repeat([[90], [7], [3]], [4, 40, 40], axis=0)
    asked = Asked(np.zeros((84, 1), np.float32), bins, ranks.astype(np.int32), bins, 3)
    widths = _widths(ranks, asked, 100)
    assert (widths[:, 0] == 8).all()
    assert (widths[:, 1] == 8).all()
    assert (widths[:, 2] == 4).all()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_where_rows_are_alike_queries_that_are_not_look_everywhere(db: pqdb.Database, metric: str) -> None:
    rng = np.random.default_rng(9)
    rows = np.tile(rng.standard_normal(8), (6_000, 1)).astype(np.float32)
    rows[:50] = rng.standard_normal((50, 8))
    things = db.create_collection("things", 8, metric)
    things.upsert(np.arange(6_000), rows)
    things.optimize()
    assert things.measure_recall(10, rng.standard_normal((120, 8)).astype(np.float32), recall=0.9).lost_partition < 0.06


@pytest.mark.parametrize("asked", [0.9, 0.95])
def test_of_l2_questions_between_clusters_find_what_was_asked_for(db: pqdb.Database, asked: float) -> None:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((100, 48))
    rows = (centres[rng.integers(0, 100, 20_000)] + 0.6 * rng.standard_normal((20_000, 48))).astype(np.float32)
    pairs = rng.integers(0, 20_000, (2, 200))
    things = db.create_collection("things", 48, "l2")
    things.upsert(np.arange(20_000), rows)
    things.optimize()
    between = (rows[pairs[0]] + rows[pairs[1]]) / 2
    assert things.measure_recall(10, between, recall=asked).recall > asked - 0.03
