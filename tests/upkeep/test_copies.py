"""Rows that have copies are seen, and a cut passes over all of a point's at once."""

import numpy as np
import pytest

import pqdb
from pqdb.errors import CorruptError
from pqdb.metric import Metric, prepare
from pqdb.search.index import Index
from pqdb.search.lists import ListedRows
from pqdb.search.plan import DEEPER, Calibration, depth_for, keep_for, plan_by_hand, plan_recall
from pqdb.upkeep.copies import MOST, count_alike
from pqdb.upkeep.sample import Sample

DIM = 24
metrics = pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])


def alike_among(vectors: np.ndarray, metric: Metric) -> int:
    """What count_alike tells of rows in random order."""
    order = np.random.default_rng(3).permutation(len(vectors))
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("c", DIM, metric=metric)
        made.upsert(np.arange(len(vectors)), vectors)
        made.train()
        with made._blocks.read() as blocks, made._points.read() as points:
            snapshot = made._snapshot(points, blocks)
            listed = ListedRows.read(snapshot, Index.load(blocks))
            sample = Sample(prepare(vectors[order], DIM, metric), order, len(vectors), listed.lists.astype(np.int32))
            return count_alike(snapshot, sample, points.live)


def points_of(n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((n, DIM)).astype(np.float32)


def near(vectors: np.ndarray) -> np.ndarray:
    """A thousandth aside."""
    aside = np.random.default_rng(2).standard_normal(vectors.shape)
    moved: np.ndarray = (vectors + 0.001 * aside).astype(np.float32)
    return moved


@metrics
def test_copies_are_counted(metric: Metric) -> None:
    assert alike_among(near(np.repeat(points_of(400), 15, axis=0)), metric) == 15


@metrics
def test_without_copies_each_row_is_a_point(metric: Metric) -> None:
    assert alike_among(points_of(6_000), metric) == 1


@metrics
def test_where_some_have_copies_the_usual_row_is_a_point(metric: Metric) -> None:
    points = points_of(5_700)
    assert alike_among(np.concatenate([points, near(np.repeat(points[:600], 2, axis=0))]), metric) == 1


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_where_more_are_alike_than_could_be_told_apart_there_is_no_saying(metric: Metric) -> None:
    assert alike_among(near(np.repeat(points_of(2), 3 * MOST, axis=0)), metric) == 1


@pytest.mark.parametrize("seed", range(4))
def test_of_inner_products_no_more_are_alike_than_are_in_a_list(seed: int) -> None:
    """Of the same vector over and over, too: rounding must not make it unlike itself."""
    points = np.random.default_rng(seed).standard_normal((12, DIM)).astype(np.float32)
    assert 30 < alike_among(np.repeat(points, 500, axis=0), "dot") <= 500


def test_the_cut_is_as_many_points_deep_as_ever() -> None:
    knots, widths = np.zeros(1, np.float32), np.ones((1, 10, 1), np.float32)
    known = Calibration(0.1, (10,), knots, widths, alike=20)
    assert Calibration.from_bytes(known.to_bytes()).alike == 20
    assert plan_recall(known, 5, 10, 0.9).depth == plan_by_hand(known, 5, 10, 3, None).depth == 10 + 20 * DEEPER
    assert plan_by_hand(known, 5, 10, 3, 40).depth == 40  # as was asked for
    assert depth_for(10) == 10 + DEEPER
    assert plan_recall(known, 5, 10, 0.9).keep == 30
    assert (keep_for(10), keep_for(100)) == (13, 125)


def test_calibrations_of_before_know_of_no_copies() -> None:
    widths = np.ones((1, 10, 1), np.float32)
    raw = Calibration(0.1, (10,), np.zeros(1, np.float32), widths).to_bytes()
    assert b'"alike": 1' in raw
    assert Calibration.from_bytes(raw.replace(b', "alike": 1', b"")).alike == 1
    for damaged in (b"0", b"-5", b"1e15", b"Infinity", b"10001"):
        with pytest.raises(CorruptError):
            Calibration.from_bytes(raw.replace(b'"alike": 1', b'"alike": ' + damaged))


@metrics
def test_where_rows_have_copies_the_nearest_point_is_not_lost_with_the_cut(metric: Metric) -> None:
    """The twelve best estimates may all be of one point that looks nearer than it is, and of forty rows alike to a
    thousandth int8 cannot tell which is nearest.
    """
    rng = np.random.default_rng(5)
    points, queries = (rng.standard_normal((n, 96)).astype(np.float32) for n in (200, 300))
    rows = near(np.repeat(points, 40, axis=0))
    with pqdb.open(upkeep="manual", live_queries=False) as db:
        made = db.create_collection("c", 96, metric=metric)
        made.upsert(np.arange(len(rows)), rows[rng.permutation(len(rows))])
        made.train()
        found = [made.measure_recall(k, nprobe=9_999, queries=queries).recall for k in (1, 10)]
    assert min(found) > 0.97, found


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_the_nearest_of_near_copies_is_found_where_half_of_the_rows_have_none(metric: Metric) -> None:
    """By int8 a dozen of them are as near: how many are scored from the source must not be told by rows that find
    themselves.
    """
    rng = np.random.default_rng(8)
    points = rng.standard_normal((300, 64))
    copied, queries = (np.repeat(points, n, axis=0) for n in (13, 1))
    copied, queries = (each + 0.05 * rng.standard_normal(each.shape) for each in (copied, queries))
    rows = rng.permutation(np.concatenate([copied, rng.standard_normal((3_900, 64))])).astype(np.float32)
    with pqdb.open(upkeep="manual", live_queries=False) as db:
        made = db.create_collection("c", 64, metric=metric)
        made.upsert(np.arange(len(rows)), rows)
        made.train()
        assert made.measure_recall(1, nprobe=9_999, queries=queries.astype(np.float32)).recall > 0.98
