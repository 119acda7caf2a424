"""Rows written since the lists were made: found by their codes as by themselves, coded once it pays, and once only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import prepare
from pqdb.query.bitmaps import bitmap_of, bits_of
from pqdb.query.select import Selection
from pqdb.search import fresh
from pqdb.search.frame import Among
from pqdb.search.fresh import FreshKept
from pqdb.search.lists import PassingKept
from pqdb.search.pipeline import search
from pqdb.search.selected import score_rows
from pqdb.search.trace import Trace
from tests import naive
from tests.compiled import compiled
from tests.data import clustered, queries_near

DIM, LISTED, FRESH, QUERIES = 24, 1_500, 600, 40
ROWS = LISTED + FRESH
pytestmark = compiled


@pytest.fixture(autouse=True)
def small_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pqdb.upkeep.build.choose_n_lists", lambda n: max(1, round(n / 96)))


def made(db: pqdb.Database, metric: str = "cosine", **options: Any) -> tuple[pqdb.Collection, np.ndarray, np.ndarray]:
    """A collection of which a quarter is fresh; its vectors, and queries near them."""
    vectors = clustered(ROWS, DIM, seed=1)
    things = db.create_collection("things", DIM, metric, **options)
    things.upsert(np.arange(LISTED), vectors[:LISTED])
    things.train()
    things.upsert(np.arange(LISTED, ROWS), vectors[LISTED:], [{"even": n % 2 == 0} for n in range(LISTED, ROWS)])
    return things, vectors, queries_near(vectors, QUERIES, seed=2)


def coded(things: pqdb.Collection, rows: int = FRESH) -> int:
    """Ask until so many rows have codes."""
    for asked in range(2_000):
        held = things._fresh._held
        if held is not None and len(held.lists) >= rows:
            return asked
        things.search(np.ones(DIM, np.float32), 5)
    raise AssertionError("2,000 queries, and no codes")


@pytest.fixture
def db() -> Any:
    with pqdb.open(upkeep="manual", live_queries=False) as database:
        yield database


def share_of_themselves(hits: Sequence[pqdb.Hits]) -> float:
    """Of fresh rows that were asked for, those that were found: .97 is what a search promises."""
    return float(np.mean([each.ids[0] == row for each, row in zip(hits, range(LISTED, ROWS), strict=True)]))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize(
    "options", [{}, {"rerank": "source"}, {"rerank": None}, {"quantization": pqdb.PQ(nbits=8)}], ids=str
)
def test_they_are_found_by_codes_as_by_themselves(db: pqdb.Database, metric: str, options: dict[str, Any]) -> None:
    things, vectors, queries = made(db, metric, **options)
    before = things.search(queries, 10, recall=0.95)
    coded(things)
    after = things.search(queries, 10, recall=0.95)
    truth = naive.search.nearest(*(naive.search.prepared(each, metric) for each in (queries, vectors)), metric, 10)
    recalls = [naive.search.recall(hits.scores.astype(np.float64), truth[0], metric) for hits in (before, after)]
    assert recalls[0] >= recalls[1] >= 0.945  # what was asked: they are found as rows in lists are
    for i, query in enumerate(queries):
        single, staged = things.search(query, 10, recall=0.95), things.explain(query, 10, recall=0.95).hits
        assert staged is not None
        assert single.ids == staged.ids == after[i].ids
        np.testing.assert_allclose(single.scores, staged.scores, rtol=1e-6)
        assert len(set(single.ids)) == 10
    themselves = things.search(vectors[LISTED:], 1) if metric != "dot" else None
    assert themselves is None or share_of_themselves(themselves) >= 0.99


def test_they_are_coded_once_comparing_them_has_cost_as_much(db: pqdb.Database) -> None:
    things, _, _ = made(db)
    asked = coded(things, 256)
    assert 20 < asked < 500
    assert len(things._fresh._held.lists) == fresh.STEP  # a step at a time
    coded(things, ROWS - LISTED)
    things.upsert(np.arange(ROWS, ROWS + 20), clustered(20, DIM, seed=7))
    for _ in range(2_000):
        things.search(np.ones(DIM, np.float32), 5)
    assert len(things._fresh._held.lists) == FRESH  # so few are not worth it


def test_the_dead_and_those_a_filter_refuses_are_not_found(db: pqdb.Database) -> None:
    things, vectors, _ = made(db)
    coded(things)
    gone = list(range(LISTED, LISTED + 64))
    things.delete(gone)
    hits = things.search(vectors[gone], 10)
    assert not {name for each in hits for name in each.ids} & set(gone)
    even = things.search(vectors[LISTED], 300, filter={"must": [{"key": "even", "match": {"value": True}}]})
    assert len(even) == (FRESH - 64) // 2
    assert all(name % 2 == 0 and name not in gone for name in even.ids)


def test_rows_that_were_dead_when_they_were_coded(db: pqdb.Database) -> None:
    """They are not found; and have codes all the same, for a row may be written before it is alive."""
    things, vectors, _ = made(db)
    dead = list(range(LISTED, LISTED + 300))
    things.delete(dead)
    coded(things)
    assert not set(dead) & set(things.search(vectors[LISTED], 10).ids)
    with things._blocks.read() as blocks, things._points.read() as points:
        snapshot = things._snapshot(points, blocks)
        assert snapshot.index is not None
        everyone = bits_of(bitmap_of(np.arange(ROWS)), ROWS)
        prepared = prepare(vectors[dead], DIM, "cosine")
        plan = snapshot.index.plan(1, None, None, None)
        assert search(snapshot, prepared, plan, everyone, 1)[1][:, 0].tolist() == dead


def test_rows_that_have_come_into_lists_are_found_once(db: pqdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    things, vectors, queries = made(db)
    coded(things)
    held = things._fresh._held
    monkeypatch.setattr("pqdb.upkeep.fresh.BATCH_ROWS", 100)
    steps = things._tended.steps
    assert steps.catch_up(True, lambda *_: None)  # 100 of them, in the middle of a group
    for query in [*queries, *vectors[LISTED : LISTED + 120]]:
        hits = things.search(query, 20)
        assert len(set(hits.ids)) == 20
    assert things._fresh._held is held
    assert share_of_themselves(things.search(vectors[LISTED:], 1)) >= 0.99
    things.optimize()
    assert share_of_themselves(things.search(vectors[LISTED:], 1)) >= 0.99


def test_what_is_in_lists_goes_with_the_next_step(db: pqdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    things, vectors, _ = made(db)
    coded(things)
    monkeypatch.setattr("pqdb.upkeep.fresh.BATCH_ROWS", 300)
    assert things._tended.steps.catch_up(True, lambda *_: None)
    more = clustered(300, DIM, seed=9)
    things.upsert(np.arange(ROWS, ROWS + 300), more)
    stop = things._fresh._held.stop
    for _ in range(2_000):
        things.search(np.ones(DIM, np.float32), 5)
        if things._fresh._held.stop > stop:
            break
    held = things._fresh._held
    assert (held.first, held.stop) == (LISTED + 300, stop + 256)
    for found in (things.search(more, 1), things.search(vectors[LISTED:], 1)):
        assert len({hits.ids[0] for hits in found}) == len(found)


def test_other_lists_of_the_same_generation_begin_anew(db: pqdb.Database) -> None:
    """Lists are split and merged, and get new ones beside them, within a generation."""
    things, vectors, _ = made(db)
    coded(things)
    held, generation = things._fresh._held, things.info()["generation"]
    index = things._index[2]
    with things._blocks.write() as batch:
        batch.put_object(generation, "router", index.router.to_bytes())
    assert [hits.ids[0] for hits in things.search(vectors[LISTED:], 1)] == list(range(LISTED, ROWS))
    assert things.info()["generation"] == generation
    assert things._fresh._held is not held


def test_a_filter_finds_them(db: pqdb.Database) -> None:
    """Lists are chosen by the rows they hold that pass: the fresh rows on their way to a list count there, too."""
    things, _, queries = made(db)
    coded(things)
    with things._blocks.read() as blocks, things._points.read() as points:
        snapshot = things._snapshot(points, blocks)
        index = snapshot.index
        plan = replace(index.plan(10, 0.99, None, None), most=index.router.n_lists)
        prepared = prepare(queries, DIM, "cosine")
        for chosen in (np.arange(0, ROWS, 7, dtype=np.uint32), np.arange(LISTED, ROWS, 3, dtype=np.uint32)):
            selection = Selection(bitmap_of(chosen), ROWS)
            among = Among(PassingKept().of(snapshot, index, selection), 0.999, np.inf)
            assert among.passing.rows.sum() == len(chosen)
            by_all = score_rows(snapshot, prepared, chosen, 10)
            for how in (None, Trace()):
                found = search(snapshot, prepared, plan, selection.allowed, 10, how, among)
                assert (found[1] == by_all[1]).mean() > 0.98
                declined = search(snapshot, prepared, plan, selection.allowed, 10, how, replace(among, limit=0.0))
                assert not np.isfinite(declined[0]).any()  # for then all rows that pass are scored, fresh ones too


def test_what_is_lost_of_them_has_a_cause(db: pqdb.Database) -> None:
    things, _, _ = made(db)
    coded(things)
    report = things.measure_recall(10, recall=0.5, sample=300)
    assert report.recall < 0.99
    assert report.lost_partition > 0.5 * (1 - report.recall)


def test_another_generation_begins_anew(db: pqdb.Database) -> None:
    things, vectors, _ = made(db)
    coded(things)
    things.train()
    assert things.search(vectors[ROWS - 1], 1).ids == [ROWS - 1]
    more = clustered(400, DIM, seed=9)
    things.upsert(np.arange(ROWS, ROWS + 400), more)
    coded(things, 256)
    assert things._fresh._held.first == ROWS
    assert [hits.ids[0] for hits in things.search(more, 1)] == list(range(ROWS, ROWS + 400))


def test_a_state_from_before_does_not_see_them(db: pqdb.Database) -> None:
    things, _, _ = made(db)
    coded(things)
    with things._points.read() as points, things._blocks.read() as blocks:
        snapshot = things._snapshot(points, blocks)
        index = snapshot.index
        assert snapshot.coded is things._fresh._held

        class Before:
            n_rows, live = ROWS - 200, points.live

        shape = snapshot.rows_per_run, snapshot.row_bytes
        assert things._fresh.of(things.config, Before, index, LISTED, shape) is None  # type: ignore[arg-type]
        assert things._fresh.of(things.config, points, index, LISTED - 10, shape) is None


@pytest.mark.parametrize("options", [{"source": None}, {"quantization": pqdb.SQ("int8")}], ids=str)
def test_without_source_or_tables_they_are_compared(db: pqdb.Database, options: dict[str, Any]) -> None:
    things, vectors, _ = made(db, **options)
    for _ in range(300):
        things.search(np.ones(DIM, np.float32), 5)
    assert things._fresh._held is None
    assert not things._fresh.is_time(10**9, 1 << 20)
    assert things.search(vectors[ROWS - 1], 1).ids == [ROWS - 1]


def test_so_many_and_no_more(db: pqdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "MOST", 300)
    things, vectors, _ = made(db)
    coded(things, 300)
    for _ in range(500):
        things.search(np.ones(DIM, np.float32), 5)
    assert len(things._fresh._held.lists) == 300
    assert [hits.ids[0] for hits in things.search(vectors[LISTED:], 1)] == list(range(LISTED, ROWS))


def test_the_more_are_held_the_more_are_coded_at_a_time(db: pqdb.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that are held are put in order anew each time."""
    monkeypatch.setattr(fresh, "STEP", 40)
    things, vectors, _ = made(db)
    sizes = [0]
    for _ in range(100_000):
        things.search(np.ones(DIM, np.float32), 5)
        held = things._fresh._held
        if held is not None and len(held.lists) > sizes[-1]:
            sizes.append(len(held.lists))
        if sizes[-1] >= ROWS - LISTED:
            break
    steps = np.diff(sizes)
    assert steps[0] == 40
    assert (steps[1:-1] == np.maximum(40, np.array(sizes[1:-2]) // 4)).all()
    assert steps.max() > 80
    assert [hits.ids[0] for hits in things.search(vectors[LISTED:], 1)] == list(range(LISTED, ROWS))


def test_few_rows_are_never_worth_it() -> None:
    kept = FreshKept()
    assert not any(kept.is_time(fresh.LEAST - 1, 1 << 20) for _ in range(1_000))
