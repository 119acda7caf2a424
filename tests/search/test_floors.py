"""Rows without an error of their own: no margin is told by less than the usual scale of the first lists probed, and the
nearest list is one of them (docs/decisions/047, 049).
"""

from dataclasses import replace

import numpy as np
import pytest

import pqdb
from pqdb.config import Quantization
from pqdb.errors import CorruptError
from pqdb.kernels.scan import FIRST, least_scales
from pqdb.metric import Metric
from pqdb.quantization.values import ValueCode
from pqdb.search.coded import code_rows
from pqdb.search.index import Index
from pqdb.search.lists import ListedRows
from pqdb.search.plan import Calibration
from pqdb.upkeep import lead
from tests.data import alike_and_almost, clustered

ALL = 9_999  # lists, probed by hand


def test_a_floor_is_the_mean_of_what_is_usual_in_the_first_lists_probed() -> None:
    usual, lists = np.array([1, 2, 4, 8], np.float32), np.array([[0, 2, 3], [3, 1, 0], [1, 1, 1]], np.int32)
    probed, floors = np.array([3, 2, 0], np.int32), np.full(3, 77, np.float32)
    least_scales(usual, lists, probed, floors)
    np.testing.assert_allclose(floors, np.array([13 / 3, 5, 0], np.float32), rtol=1e-6)
    many, order = np.arange(3 * FIRST, dtype=np.float32), np.arange(3 * FIRST, dtype=np.int32)[None, ::-1].copy()
    for n in (FIRST, 2 * FIRST, 3 * FIRST):
        least_scales(many, order, np.array([n], np.int32), floors[:1])
        assert floors[0] == many[-FIRST:].mean(), "however many follow"
    least_scales(usual[:0], lists, probed, floors)
    assert floors.tolist() == [0, 0, 0]  # nothing is known
    least_scales(usual, lists, np.array([-1, -1, -1], np.int32), floors)
    assert floors.tolist() == [0, 0, 0]  # nothing is scanned


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("quantization", [pqdb.PQ(), pqdb.PQ(nbits=8), pqdb.SQ("int8")], ids=str)
def test_the_usual_scale_of_a_list_is_about_that_of_its_codes(metric: Metric, quantization: Quantization) -> None:
    rows = clustered(6_000, 32, seed=3, clusters=30)
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("c", 32, metric, quantization=quantization)
        made.upsert(np.arange(len(rows)), rows)
        made.train()
        with made._points.read() as points, made._blocks.read() as blocks:
            snapshot = made._snapshot(points, blocks)
            index = snapshot.index
            assert index is not None
            lists = ListedRows.read(snapshot, index).lists
            vectors = index.router.to_index_space(made._vectors_of(points, np.arange(len(rows))))
    coded = code_rows(index.router, index.codebook, vectors, np.arange(len(rows)), lists)
    scales = coded.scales
    if isinstance(index.codebook, ValueCode):  # a row of values begins with its scale
        scales = np.ascontiguousarray(coded.codes[:, :4]).view(np.float32)[:, 0]
    squares, counts = np.bincount(lists, np.square(scales)), np.bincount(lists)
    assert index.usual_scales == pytest.approx(np.sqrt(squares / counts), rel=0.3)


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_copies_at_their_centroid_are_found_among_rows_that_are_almost_like_them(metric: Metric) -> None:
    """Their codes have no error, and those of the others do: the best of many of these look nearer than the same."""
    rows, same = alike_and_almost(6_000)
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("c", 48, metric)
        made.upsert(np.arange(len(rows)), rows)
        made.train()
        for asked in ({"recall": 0.99}, {"nprobe": ALL}):
            assert set(made.search(rows[same[0]], 10, **asked).ids) <= set(same.tolist())
        together = made.search(rows[same[:5]], 10, nprobe=ALL).ids
    assert np.isin(together, same).all()


def test_copies_are_found_where_the_spread_of_lists_around_them_is_worth_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of copies has none, and came after all that were probed (docs/decisions/049)."""
    monkeypatch.setitem(lead.LEADS, False, (1.0,))
    rows, same = alike_and_almost(6_000)
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("c", 48, "cosine")
        made.upsert(np.arange(len(rows)), rows)
        made.train()
        for k in (10, 100):
            for recall in (0.6, 0.8, 0.95):
                assert np.isin(made.search(rows[same[0]], k, recall=recall).ids, same).all()
                assert np.isin(made.search(rows[same[:2]], k, recall=recall).ids, same).all()


def test_calibrations_of_before_know_of_no_usual_scale() -> None:
    widths = np.ones((1, 10, 1), np.float32)
    known = Calibration(0.1, (10,), np.zeros(1, np.float32), widths, scale=1.5)
    assert Calibration.from_bytes(known.to_bytes()).scale == 1.5
    raw = known.to_bytes()
    assert Calibration.from_bytes(raw.replace(b', "scale": 1.5', b"")).scale == 0
    for damaged in (b"-1", b"NaN", b"Infinity", b"[1]"):
        with pytest.raises(CorruptError, match="the calibration is damaged"):
            Calibration.from_bytes(raw.replace(b'"scale": 1.5', b'"scale": ' + damaged))


def test_without_a_usual_scale_margins_are_the_codes_own() -> None:
    rows = clustered(2_000, 16, seed=4)
    with pqdb.open(upkeep="manual") as db:
        made = db.create_collection("c", 16)
        made.upsert(np.arange(len(rows)), rows)
        made.train()
        with made._blocks.read() as blocks:
            index = Index.load(blocks)
    assert len(index.usual_scales) == index.router.n_lists
    assert len(replace(index, calibration=replace(index.calibration, scale=0.0)).usual_scales) == 0
    assert len(replace(index, router=replace(index.router, spreads=None)).usual_scales) == 0
    assert len(replace(index, codebook=ValueCode(16, "float16")).usual_scales) == 0
