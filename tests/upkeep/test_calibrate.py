"""Calibration: where the lists of true neighbours come in the order of probing."""

import numpy as np
import pytest

import pqdb
from pqdb.metric import Metric
from pqdb.partition.router import Router
from pqdb.search.index import Index
from pqdb.upkeep import drift
from pqdb.upkeep.calibrate import (
    BINS,
    Asked,
    Nearest,
    Table,
    _bins,
    _larger,
    _lists_in_sample,
    _widths,
    aim,
)
from pqdb.upkeep.sample import Sample
from tests.data import clustered

metrics = pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])


@pytest.mark.parametrize("l2", [False, True])
def test_in_a_sample_of_all_rows_the_nearest_are_the_nearest(l2: bool) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((2_400, 12)).astype(np.float32)
    rows, list_of_row = rng.permutation(2_400), rng.integers(0, 7, 2_400).astype(np.int32)
    router = Router(l2, np.zeros(12, np.float32), 1.0, vectors[:7])
    sample, some = Sample(vectors[rows], rows, 2_400, list_of_row), rows[:70]
    found = _lists_in_sample(router, sample, vectors[some], some, 1_050)
    assert found.shape == (70, 1_050)
    asked = vectors[some].astype(np.float64)
    values = asked @ vectors.T - ((vectors.astype(np.float64) ** 2).sum(axis=1) / 2 if l2 else 0)
    values[np.arange(70), some] = -np.inf  # a row does not find itself
    right = found == list_of_row[np.argsort(-values, axis=1)[:, :1_050]]
    assert right.mean() > 0.999, "but for rows that float32 cannot tell apart"


def test_of_a_sample_no_row_that_is_in_no_list_is_found() -> None:
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((8_000, 8)).astype(np.float32)
    list_of_row = np.full(8_000, -1, np.int32)
    list_of_row[200:] = rng.integers(0, 5, 7_800)
    rows = rng.permutation(8_000)[:2_000]
    router = Router(False, np.zeros(8, np.float32), 1.0, vectors[:5])
    queries = rng.standard_normal((5, 8)).astype(np.float32)
    found = _lists_in_sample(router, Sample(vectors[rows], rows, 8_000, list_of_row), queries, np.full(5, -1), 3_000)
    listed = rows[list_of_row[rows] >= 0]
    nearest = list_of_row[listed[np.argsort(-(queries @ vectors[listed].T), axis=1)]]
    assert found.shape == (5, 1_999)
    assert (found[:, : len(listed)] == nearest).all()
    assert (found[:, len(listed) :] == -1).all()


def test_the_more_neighbours_the_fewer_rows_tell_of_them() -> None:
    """Lists are probed in their own order here: a rank is a list."""
    n, place = 700, np.tile(np.arange(9, dtype=np.int32), (700, 1))
    near = np.repeat(np.arange(n, dtype=np.int32)[:, None] % 9, 120, axis=1)
    nearest = Nearest(near, near[:64, :50] // 2, share=0.01)
    asked = Asked(np.zeros((n, 1), np.float32), np.arange(n), np.full(n, -1, np.int32), place, np.zeros(n, np.float32))
    for k, rows, width in ((1, 700, 1), (10, 700, 10), (100, 500, 100), (1_000, 64, 10)):
        ranks = nearest.ranks(asked, k)
        assert ranks.shape == (rows, width)
        assert (ranks == (near[:rows, :1] // 2 if k == 1_000 else near[:rows, :1])).all()
    some = np.array([3, 60, 66, 600])
    few = nearest.take(some)
    assert (few.near == near[some]).all()
    assert (few.deep == nearest.deep[[3, 60]]).all(), "of the others the sample does not tell"
    assert few.ranks(asked.take(some), 1_000).tolist() == [[1] * 10, [3] * 10]


def test_what_is_left_out_is_passed_over_and_comes_last() -> None:
    rng = np.random.default_rng(4)
    centroids = rng.standard_normal((6, 8)).astype(np.float32)
    router = Router(True, np.zeros(8, np.float32), 1.0, centroids)
    queries = centroids[[2, 2]] + np.float32(0.01)
    none, asked = (Asked.of(router, queries, np.array([7, 8]), np.array(out, np.int32)) for out in ([-1, -1], [2, -1]))
    assert none.place[0, 2] == asked.place[1, 2] == 0
    assert asked.place[0, 2] == 5, "nobody looks there"
    assert asked.ease[0] < asked.ease[1] == none.ease[0], "the next list is farther"
    lists = np.array([[2, 2, 3, 2, 5, -1], [2, 2, 3, 2, 5, -1]], np.int32)
    assert asked.ranks(lists, 3).tolist() == [
        [asked.place[0, 3], asked.place[0, 5], -1],
        [0, 0, asked.place[1, 3]],
    ]


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


def test_rows_share_the_bins_evenly() -> None:
    ease = np.random.default_rng(3).standard_normal(1_200).astype(np.float32)
    bins = _bins(ease, BINS)
    assert (np.bincount(bins) == 1_200 // BINS).all()
    assert (np.diff(bins[np.argsort(ease)]) >= 0).all()
    assert set(_bins(np.ones(50, np.float32), BINS)) == {0}, "none can be told from another: one bin, and none is empty"


def test_a_bin_of_too_few_queries_is_taken_for_the_one_above_it() -> None:
    bins = np.array([0] * 4 + [1] * 40 + [2] * 40 + [3] * 40)
    ranks = np.repeat([[90], [7], [3], [-1]], [4, 40, 40, 40], axis=0).astype(np.int32)
    widths = _widths(ranks, bins, 4, 100, [0.5, 0.9])
    assert (widths[:, :2] == 8).all()
    assert (widths[:, 2] == 4).all()
    assert (widths[:, 3] == 100).all(), "there is none above it"


def test_of_two_tables_the_one_that_asks_for_more_counts_at_each_grade() -> None:
    one = Table(np.array([0, 1], np.float32), np.array([[[8, 2]]], np.float32))
    other = Table(np.array([0.5, 3], np.float32), np.array([[[4, 3]]], np.float32))
    larger = _larger(one, other)
    assert larger.knots.tolist() == [0, 0.5, 1, 3]
    assert larger.widths.tolist() == [[[8, 5, pytest.approx(3.8), 3]]]


def test_a_table_of_harder_queries_goes_before_another() -> None:
    one = Table(np.array([-3, -2], np.float32), np.array([[[8, 2]]], np.float32))
    both = one.then(Table(np.array([0.5, 3], np.float32), np.array([[[4, 3]]], np.float32)))
    assert both.knots.tolist() == [-3, -2, 0.5, 3]
    assert both.widths.tolist() == [[[8, 2, 4, 3]]]


def test_only_where_lengths_count_is_more_aimed_at_than_asked_for() -> None:
    assert aim(0.95, "cosine") == aim(0.95, "l2") == 0.95
    assert [round(aim(target, "dot"), 4) for target in (0.8, 0.9, 0.99)] == [0.8276, 0.93, 0.9965]


@metrics
def test_where_rows_are_alike_queries_that_are_not_look_everywhere(db: pqdb.Database, metric: Metric) -> None:
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


@metrics
@pytest.mark.parametrize("apart", [0.05, 0.5])
def test_questions_look_into_lists_enough_where_each_is_a_point_and_its_likes(
    db: pqdb.Database, metric: Metric, apart: float
) -> None:
    """Rows find all that is near to them in their own list, however many lists a question takes."""
    rng = np.random.default_rng(11)
    points, questions = (rng.standard_normal((n, 64)).astype(np.float32) for n in (200, 200))
    rows = np.repeat(points, 60, axis=0)
    rows += np.float32(apart) * rng.standard_normal(rows.shape).astype(np.float32)
    things = db.create_collection("things", 64, metric)
    things.upsert(np.arange(len(rows)), rows[rng.permutation(len(rows))])
    things.optimize()
    for k in (1, 10):
        assert things.measure_recall(k, questions, recall=0.9).lost_partition < 0.15


def test_queries_without_what_all_rows_have_in_common_find_what_was_asked_for(db: pqdb.Database) -> None:
    """Of the rows' own kind there is none so far from all lists."""
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((100, 16))
    rows, queries = (centres[rng.integers(0, 100, n)] + 0.5 * rng.standard_normal((n, 16)) for n in (12_000, 100))
    things = db.create_collection("things", 16, "dot")
    things.upsert(np.arange(12_000), (rows + 20).astype(np.float32))
    things.optimize()
    assert things.measure_recall(10, queries=queries.astype(np.float32), recall=0.99).recall > 0.965
