"""The margin of the rerank follows the recall that is asked for, and what it costs is known."""

import json

import numpy as np
import pytest

import pqdb
from pqdb.config import TRAIN_ROWS, Source
from pqdb.metric import prepare
from pqdb.search.index import Index
from pqdb.search.plan import LOSSES_KS, MARGIN_SIGMAS, SIGMAS, Calibration, Losses, plan_recall
from pqdb.search.truth import recall_of
from pqdb.upkeep.learn import DOUBT, _losses
from pqdb.upkeep.margins import count_missed, losses_of
from tests.conftest import SEED
from tests.data import clustered, queries_near
from tests.upkeep.conftest import Keep

ROWS, DIM = 8_000, 32
LOSSES = ((0.08, 0.04, 0.01), (0.04, 0.016, 0.004))


def known(losses: Losses) -> Calibration:
    """A calibration that says that so much is lost."""
    widths = np.linspace(1, 10, 10, dtype=np.float32)[None, :, None]
    return Calibration(0.1, (10,), np.zeros(1, np.float32), widths, losses=losses)


def index_of(collection: pqdb.Collection) -> Index:
    with collection._blocks.read() as blocks:
        return Index.load(blocks)


@pytest.fixture(scope="module")
def made() -> pqdb.Collection:
    with pqdb.open(upkeep="manual") as database:
        collection = database.create_collection("things", DIM)
        collection.upsert(np.arange(ROWS), clustered(ROWS, DIM, seed=SEED))
        collection.optimize()
        yield collection


def test_the_more_is_asked_the_wider_it_is_and_an_eighth_is_lost_at_most() -> None:
    asked = np.concatenate([np.linspace(0.05, 0.95, 19), [0.97, 0.99, 0.995, 0.999]]).tolist()
    for k in (1, 3, 10, 100):
        widths, lost = zip(*(known(LOSSES).margin_for(k, recall) for recall in asked), strict=True)
        assert list(widths) == sorted(widths)
        assert (widths[0], widths[-1]) == (SIGMAS[0], MARGIN_SIGMAS)
        assert all(share <= (1 - recall) / 8 + 1e-9 for share, recall in zip(lost, asked, strict=True))
        between = min(1.0, np.log10(k))
        assert lost[0] == pytest.approx(LOSSES[0][0] ** (1 - between) * LOSSES[1][0] ** between)
        assert lost[-1] == 0
    at_a_known_width = 1 - 8 * LOSSES[1][1]
    assert known(LOSSES).margin_for(10, at_a_known_width) == pytest.approx((SIGMAS[1], LOSSES[1][1]))
    one, three, ten = (known(LOSSES).margin_for(k, 0.9)[0] for k in (1, 3, 10))
    assert one > three > ten


def test_lists_are_asked_for_what_the_margin_loses() -> None:
    plan, full = plan_recall(known(LOSSES), 99, 10, 0.9), plan_recall(known(()), 99, 10, 0.9)
    assert full.margin == pytest.approx(MARGIN_SIGMAS * 0.1)
    assert (full.lost, plan.lost) == (0, pytest.approx(0.1 / 8))
    assert plan.margin < full.margin
    more = known(()).widths_for(10, 0.9 / (1 - 0.1 / 8))
    np.testing.assert_allclose(plan.widths, more)
    assert plan.widths[0] > full.widths[0]


def test_of_few_queries_one_more_counts_as_missed() -> None:
    assert losses_of(np.zeros((2, 3)), 9) == ((0.1, 0.1, 0.1), (1 / 91, 1 / 91, 1 / 91))
    assert losses_of(np.full((2, 3), 1e9), 9) == ((1.0,) * 3,) * 2


def test_calibrations_of_before_have_none_and_others_come_back() -> None:
    before = known(LOSSES).to_bytes().replace(b'"losses"', b'"unheard"')
    assert Calibration.from_bytes(before).losses == ()
    assert Calibration.from_bytes(before).margin_for(10, 0.5) == (MARGIN_SIGMAS, 0)
    assert Calibration.from_bytes(known(LOSSES).to_bytes()).losses == LOSSES


@pytest.mark.parametrize("k", [1, 10])
def test_what_it_loses_is_what_was_measured(made: pqdb.Collection, k: int) -> None:
    """On questions that are no rows; with every list probed nothing else is lost."""
    index, queries = index_of(made), queries_near(clustered(ROWS, DIM, seed=SEED), 800, seed=1)
    known_here = index.calibration
    assert all(list(row) == sorted(row, reverse=True) for row in known_here.losses)
    full = made.measure_recall(k, queries, nprobe=index.router.n_lists)
    for asked in (0.8, 0.9, 0.95):
        report = made.measure_recall(k, queries, recall=asked)
        lost = known_here.margin_for(k, asked)[1]
        doubt = 3 * (lost / (k * len(queries))) ** 0.5
        assert report.lost_codes <= 2 * lost + doubt + full.lost_codes
        assert report.recall >= asked - 0.02


def test_fewer_candidates_are_reranked_where_less_is_asked(made: pqdb.Collection) -> None:
    queries = queries_near(clustered(ROWS, DIM, seed=SEED), 50, seed=2)
    for query in queries:
        asked = made.explain(query, 10, recall=0.8)
        by_hand = made.explain(query, 10, nprobe=asked.lists)
        assert by_hand.lists == asked.lists
        assert asked.candidates <= by_hand.candidates
        assert by_hand.expected is not None
        assert asked.expected is not None
        assert asked.expected < by_hand.expected
    counted = [(made.explain(q, 10, recall=0.8).reranked, made.explain(q, 10, recall=0.999).reranked) for q in queries]
    assert np.mean(counted, axis=0)[0] < 0.8 * np.mean(counted, axis=0)[1]


def test_with_a_filter_it_is_as_wide_as_ever(made: pqdb.Collection) -> None:
    made.search(np.ones(DIM, np.float32), 7, recall=0.8, filter={"must": [{"has_id": list(range(0, ROWS, 2))}]})
    made.search(np.ones(DIM, np.float32), 7, recall=0.8)
    index = made._index[2]
    assert index is not None
    full = MARGIN_SIGMAS * index.calibration.noise
    assert index.plans["selected", 7, 0.8].margin == full
    assert index.plans[7, 0.8, None, None].margin < full


@pytest.mark.parametrize(
    ("n", "times", "source", "narrow"),
    [(TRAIN_ROWS, 1, "float32", True), (TRAIN_ROWS - 1, 1, "float32", False), (TRAIN_ROWS // 2, 3, "float32", False),
     (TRAIN_ROWS, 1, None, False)],
    ids=["enough", "too few", "too few alive", "without source"],
)  # fmt: skip
def test_collections_that_nobody_watches_keep_it_wide(n: int, times: int, source: Source, narrow: bool) -> None:
    with pqdb.open(upkeep="manual") as database:
        collection = database.create_collection("things", 8, source=source)
        for _ in range(times):
            collection.upsert(np.arange(n), clustered(n, 8, seed=SEED))
        collection.train()
        assert bool(index_of(collection).calibration.losses) == narrow


def test_live_queries_tell_what_it_costs_them() -> None:
    """What it was known to cost counts as so many queries that were asked before."""
    with pqdb.open(upkeep="manual") as database:
        collection = database.create_collection("things", DIM)
        rows = clustered(6_000, DIM, seed=SEED)
        collection.upsert(np.arange(6_000), rows)
        collection.optimize()
        index, queries = index_of(collection), queries_near(rows, 120, seed=4)
        for query in queries:
            collection.search(query, 10)
        collection.optimize()
        collection.search(queries[0], 10)
        assert collection._tended is not None
        learned, known_before = collection._tended.learned, np.array(index.calibration.losses)
        assert learned is not None
        assert collection._index[2] is not None
        assert collection._index[2].calibration.losses == learned.losses
        with collection._blocks.read() as blocks, collection._points.read() as points:
            snapshot = collection._tended.stores.snapshot(blocks, points, index)
            missed = count_missed(snapshot, prepare(queries, DIM, "cosine"), points.live, itself=0)
        expected = losses_of(missed + DOUBT * known_before * np.array(LOSSES_KS)[:, None], len(queries) + DOUBT)
        np.testing.assert_allclose(learned.losses, expected)


def test_lists_that_were_merged_meanwhile_are_looked_at_as_they_are(keep: Keep) -> None:
    """Another process may do so between two blocks of live queries."""
    kept = keep(6_000, 12)
    kept.collection.optimize()
    before = index_of(kept.collection)
    kept.collection.delete(list(range(5_600)))
    kept.collection.optimize()
    now = index_of(kept.collection)
    assert now.generation == before.generation
    assert now.router.n_lists < before.router.n_lists
    losses = _losses(kept.stores, before, prepare(kept.vectors[5_600:5_650], 12, "cosine"), lambda: None)
    assert np.shape(losses) == (2, 3)
    assert (np.array(losses) < 1).all()


def test_a_search_of_every_list_leaves_no_frames_behind(made: pqdb.Collection) -> None:
    index = index_of(made)
    with made._blocks.read() as blocks, made._points.read() as points:
        assert made._tended is not None
        snapshot = made._tended.stores.snapshot(blocks, points, index)
        count_missed(snapshot, prepare(np.ones((3, DIM), np.float32), DIM, "cosine"), points.live, itself=0)
    assert index.molds == {}


@pytest.mark.parametrize(
    "losses",
    [[[0.1, 0.1, 0.1]], [[0, 0.1, 0.1], [0.1, 0.1, 0.1]], [[2, 1, 1], [1, 1, 1]]],
    ids=["too few", "nothing", "more than all"],
)
def test_losses_that_cannot_be_are_told(losses: list[list[float]]) -> None:
    fields = json.loads(known(LOSSES).to_bytes()) | {"losses": losses}
    with pytest.raises(pqdb.CorruptError, match="the calibration is damaged: losses of"):
        Calibration.from_bytes(json.dumps(fields).encode())


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_what_was_found_is_told_at_any_scale(scale: float) -> None:
    truth = -np.array([[1.0, 2.0, 3.0]], np.float32) * np.float32(scale)
    assert recall_of(truth, truth).tolist() == [1]
    assert recall_of(truth * np.float32(2), truth) == pytest.approx([1 / 3])
    assert recall_of(truth * np.float32(1 + 1e-6), truth).tolist() == [1]
