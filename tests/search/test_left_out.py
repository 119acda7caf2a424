"""Filters that leave out the very nearest, or all that is near: what lies just behind them is found all the same."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import prepare
from pqdb.query.bitmaps import bitmap_of
from pqdb.query.select import Selection
from pqdb.search.edge import edge_of
from pqdb.search.lists import PassingKept
from pqdb.search.pipeline import FEW, search_in_stages
from pqdb.search.planner import Planner
from pqdb.search.trace import Trace
from tests.data import clustered

ROWS, DIM, ASKED = 12_000, 24, 150


def noisy() -> np.ndarray:
    """(ROWS, DIM) float32 in clusters that run into each other."""
    rng = np.random.default_rng(11)
    return clustered(ROWS, DIM, seed=3) + 0.3 * rng.standard_normal((ROWS, DIM)).astype(np.float32)


@pytest.fixture(scope="module", params=["cosine", "l2"])
def things(request: pytest.FixtureRequest) -> Iterator[pqdb.Collection]:
    vectors = noisy()
    with pqdb.open(upkeep="manual") as database:
        made = database.create_collection("things", DIM, request.param)
        made.upsert(range(ROWS), vectors)
        made.optimize()
        yield made


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    rng = np.random.default_rng(12)
    return clustered(ASKED, DIM, seed=3) + 0.4 * rng.standard_normal((ASKED, DIM)).astype(np.float32)


@pytest.mark.parametrize("skipped", [20, 300, 1_000])
def test_a_next_page_keeps_its_recall(things: pqdb.Collection, queries: np.ndarray, skipped: int) -> None:
    found, k = [], 10
    for query in queries:
        shown = things.search(query, skipped, exact=True, with_payload=False).ids
        rest = {"must_not": {"has_id": shown}}
        true = things.search(query, k, filter=rest, exact=True).ids
        alone = things.search(query, k, filter=rest, recall=0.95)
        together = things.search(np.stack([query, -query]), k, filter=rest, recall=0.95)
        assert together[0].ids == alone.ids
        assert not set(alone.ids) & set(shown)
        assert len(alone) == len(together[1]) == k
        again = things.search(query, k, filter=rest, recall=0.95)
        assert again.ids == alone.ids
        assert again.scores.tolist() == alone.scores.tolist() == [hit.score for hit in again]
        found.append(len(set(true) & set(alone.ids)) / k)
    assert np.mean(found) >= 0.93


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_what_a_topic_left_out_has_around_it_is_found(
    things: pqdb.Collection, queries: np.ndarray, share: float, k: int
) -> None:
    found = []
    for query in queries[:60]:
        topic = things.search(query, round(share * ROWS), exact=True, with_payload=False).ids
        rest = {"must_not": {"has_id": topic}}
        true = things.search(query, k, filter=rest, exact=True).ids
        alone = things.search(query, k, filter=rest, recall=0.95)
        assert things.search(query, k, filter=rest, recall=0.95).ids == alone.ids  # asked again
        together = things.search(np.stack([query, -query]), k, filter=rest, recall=0.95)[0].ids
        found.append([len(set(true) & set(ids)) / k for ids in (alone.ids, together)])
    assert np.mean(found, axis=0).min() >= 0.93


def test_a_second_look_goes_into_more_lists(things: pqdb.Collection, queries: np.ndarray) -> None:
    """The first one stopped by a cut that owed much to luck: half of what passes is near, and half of it anywhere."""
    rng, k, found, grew = np.random.default_rng(4), 10, [], 0
    for query in queries[:40]:
        near = things.search(query, ROWS // 10, exact=True, with_payload=False).ids
        rest = {"must_not": {"has_id": sorted({*near, *rng.permutation(ROWS)[: ROWS * 2 // 5].tolist()})}}
        true = things.search(query, k, filter=rest, exact=True).ids
        found.append(len(set(true) & set(things.search(query, k, filter=rest, recall=0.8).ids)) / k)
        with things._blocks.read() as blocks, things._points.read() as points:
            snapshot, first = things._snapshot(points, blocks), Trace()
            selection = things._selector.select(points, pqdb.parse_filter(rest))
            assert snapshot.index is not None
            way = Planner(snapshot, selection, PassingKept(), k).by_recall(snapshot.index, 0.8)
            prepared = prepare(query[None], DIM, things.metric)
            assert way.plan is not None
            *_, doubtful = search_in_stages(
                snapshot, snapshot.index, prepared, way.plan, selection.allowed, k, first, way.among
            )
            second = things.explain(query, k, filter=rest, recall=0.8)
            assert second.lists >= first.lists
            grew += bool(len(doubtful)) and second.lists > first.lists
    assert grew > 30
    assert np.mean(found) >= 0.9


def test_queries_that_are_looked_at_again_are_so_a_few_at_a_time(things: pqdb.Collection, queries: np.ndarray) -> None:
    rest = {"must_not": {"has_id": things.search(queries[0], ROWS // 2, exact=True, with_payload=False).ids}}
    many = np.repeat(queries[:1], FEW * 3 + 1, axis=0)
    alone = things.search(queries[0], 10, filter=rest, recall=0.95)
    assert [hits.ids for hits in things.search(many, 10, filter=rest, recall=0.95)] == [alone.ids] * len(many)


@pytest.mark.parametrize(
    "kind", [{"rerank": None}, {"rerank": "source"}, {"quantization": pqdb.SQ("int8"), "rerank": "float16"}], ids=str
)
def test_so_it_is_whatever_candidates_are_reranked_by(queries: np.ndarray, kind: dict[str, Any]) -> None:
    k, vectors = 10, noisy()
    with pqdb.open(upkeep="manual") as database:
        things = database.create_collection("things", DIM, **kind)
        things.upsert(range(ROWS), vectors)
        things.optimize()
        found = []
        for query in queries[:60]:
            topic = things.search(query, ROWS // 2, exact=True, with_payload=False).ids
            rest = {"must_not": {"has_id": topic}}
            true = things.search(query, k, filter=rest, exact=True).ids
            found.append(len(set(true) & set(things.search(query, k, filter=rest, recall=0.95).ids)) / k)
    assert np.mean(found) >= 0.93


def test_a_next_page_takes_one_look(things: pqdb.Collection, queries: np.ndarray) -> None:
    shown = things.search(queries[0], 20, exact=True, with_payload=False).ids
    with things._blocks.read() as blocks, things._points.read() as points:
        snapshot = things._snapshot(points, blocks)
        for few, k, depth in ((shown, 10, 60), (shown[:5], 10, 31), (shown, 1, 4)):
            left = bitmap_of(np.setdiff1d(np.arange(ROWS, dtype=np.uint32), np.array(few, np.uint32)))
            edge = edge_of(snapshot, Selection(left, ROWS), k, 0.95)
            assert edge is not None
            assert edge.depths[0] == depth  # 2 · (10 + 20); else 3 k, and what does not pass


def test_what_is_explained_is_what_is_done(things: pqdb.Collection, queries: np.ndarray) -> None:
    rest = {"must_not": {"has_id": things.search(queries[0], 200, exact=True).ids}}
    said = things.explain(queries[0], filter=rest)
    assert said.filter is not None
    assert said.filter.way == "lists"
    assert said.filter.lists_us is not None
    assert said.hits is not None
    assert said.hits.ids == things.search(queries[0], filter=rest).ids
    assert said.groups > 0


def test_by_hand_lists_are_scanned_as_they_are_named(things: pqdb.Collection, queries: np.ndarray) -> None:
    rest = {"must_not": {"has_id": things.search(queries[0], 200, exact=True).ids}}
    said = things.explain(queries[0], filter=rest, nprobe=3, rerank=30)
    assert said.lists == 3
