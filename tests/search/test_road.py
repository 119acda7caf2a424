"""The road in one kernel goes where the staged road goes: explain walks the stages, other searches the one kernel."""

from dataclasses import replace

import numpy as np
import pytest

import pqdb
from pqdb.metric import prepare
from pqdb.query.bitmaps import bitmap_of
from pqdb.query.select import Selection
from pqdb.search.batch import find
from pqdb.search.frame import Among
from pqdb.search.lists import PassingKept
from pqdb.search.pipeline import search
from pqdb.search.selected import score_rows
from pqdb.search.trace import Trace
from tests.search.conftest import Make


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("quantization", [pqdb.PQ(), pqdb.PQ(m=6, nbits=8)], ids=["4 bit", "8 bit"])
@pytest.mark.parametrize("effort", [{"recall": 0.8}, {"nprobe": 3}, {"nprobe": 5, "rerank": 40}], ids=str)
def test_one_kernel_finds_what_the_stages_find(make: Make, metric, quantization, effort):
    made = make(metric, quantization=quantization)
    for query in made.raw:
        fused = made.collection.search(query, 10, **effort)
        staged = made.collection.explain(query, 10, **effort).hits
        assert staged is not None
        assert fused.ids == staged.ids
        np.testing.assert_allclose(fused.scores, staged.scores, rtol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("rerank", ["int8", "source", None])
def test_lists_are_chosen_for_some_rows_by_one_kernel_as_by_stages(make: Make, metric, rerank):
    made = make(metric, rerank=rerank)
    with made.collection._blocks.read() as blocks, made.collection._points.read() as points:
        snapshot = made.collection._snapshot(points, blocks)
        index = snapshot.index
        assert index is not None
        chosen = np.arange(0, points.n_rows, 3, dtype=np.uint32)
        selection = Selection(bitmap_of(chosen), points.n_rows)
        passing = PassingKept().of(snapshot, index, selection)
        assert passing.rows.sum() == len(chosen)
        plan = index.plan(10, None, index.router.n_lists, points.n_rows)
        narrow = replace(index.plan(10, 0.5, None, None), most=index.router.n_lists)
        queries = prepare(made.raw, made.collection.dim, made.collection.metric)
        few, among = Among(passing, 0.3, np.inf), Among(passing, 0.999, np.inf)
        codes = []
        for each in (few, among):
            trace = Trace()
            search(snapshot, queries[:1], narrow, selection.allowed, 10, trace, each)
            codes.append(trace.codes)
            assert trace.wanted is not None
        assert 0 < codes[0] < codes[1]
        fused, staged = (search(snapshot, queries, narrow, selection.allowed, 10, t, few) for t in (None, Trace()))
        np.testing.assert_allclose(fused[0], staged[0], rtol=1e-5, atol=1e-6)
        values, rows = search(snapshot, queries, plan, selection.allowed, 10, among=among)
        staged = search(snapshot, queries, plan, selection.allowed, 10, Trace(), among)
        by_all = score_rows(snapshot, queries, chosen, 10)
        for i, query in enumerate(queries):
            found = find(snapshot, query[None], plan, selection.allowed, 10, among)
            np.testing.assert_allclose(found.answers["value"][0], values[i], rtol=1e-5, atol=1e-6)
        declined = Among(passing, 0.999, 0.0)
        for found in (None, Trace()):
            assert not np.isfinite(search(snapshot, queries, plan, selection.allowed, 10, found, declined)[0]).any()
    np.testing.assert_allclose(values, staged[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(values, by_all[0], rtol=1e-4, atol=1e-5)
    assert (rows == by_all[1]).mean() > 0.99
