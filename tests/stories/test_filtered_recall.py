"""Recall with filters, by the defaults: at every selectivity, whether a filter has to do with the vectors or not.

Filters are of three kinds: at random; only the clusters nearest to the query pass; only those farthest from it. The
data are made here; `python -m bench.filters` asks the same of real ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pqdb
from pqdb.metric import Metric
from tests import naive
from tests.compiled import compiled
from tests.conftest import SEED
from tests.data import clustered, queries_near

ROWS, DIM, QUERIES, CLUSTERS, K = 16_000, 32, 50, 64, 10
SHARES = (0.0001, 0.001, 0.01, 0.1, 0.5, 0.99)
PROMISED = 0.935

pytestmark = compiled


@dataclass(frozen=True)
class Story:
    """A collection whose payloads say how lucky a point is and which cluster it is of."""

    collection: pqdb.Collection
    metric: Metric
    rows: np.ndarray  # (n, d) float64, prepared
    raw: np.ndarray  # (q, d) float32
    queries: np.ndarray  # (q, d) float64, prepared
    luck: np.ndarray  # (n,)
    cluster: np.ndarray  # (n,)
    centres: np.ndarray  # (CLUSTERS, d)

    def asked(self, kind: str, share: float, query: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """A filter, and the rows that pass it."""
        conditions: list[Any] = []
        passing, luck = np.ones(ROWS, np.bool_), share
        if kind != "random":
            order = np.argsort(np.linalg.norm(self.centres - query, axis=1))
            sizes = np.bincount(self.cluster, minlength=CLUSTERS)
            order = order if kind == "nearest" else order[::-1]
            taken = order[: int(np.searchsorted(np.cumsum(sizes[order]), share * ROWS)) + 1]
            passing, luck = np.isin(self.cluster, taken), share * ROWS / sizes[taken].sum()
            conditions.append({"key": "cluster", "match": {"any": taken.tolist()}})
        conditions.append({"key": "luck", "range": {"lt": float(luck)}})
        return {"must": conditions}, np.flatnonzero(passing & (self.luck < luck))


@pytest.fixture(scope="module", params=["cosine", "l2", "dot"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    metric: Metric = request.param
    vectors, rng = clustered(ROWS, DIM, seed=SEED), np.random.default_rng(SEED)
    raw, luck = queries_near(vectors, QUERIES, seed=SEED + 1), rng.random(ROWS)
    centres = vectors[rng.choice(ROWS, CLUSTERS, replace=False)].astype(np.float64)
    cluster = np.argmin(((vectors[:, None, :4] - centres[None, :, :4]) ** 2).sum(axis=2), axis=1)
    with pqdb.open(tmp_path_factory.mktemp("story") / "database", upkeep="manual", live_queries=False) as database:
        collection = database.create_collection("story", DIM, metric)
        collection.create_payload_index("luck", "float")
        collection.create_payload_index("cluster", "integer")
        payloads = [{"luck": float(luck[row]), "cluster": int(cluster[row])} for row in range(ROWS)]
        collection.upsert(np.arange(ROWS), vectors, payloads)
        collection.optimize()
        rows, queries = (naive.search.prepared(each, metric) for each in (vectors, raw))
        yield Story(collection, metric, rows, raw, queries, luck, cluster, centres)


@pytest.mark.parametrize("kind", ["random", "nearest", "farthest"])
@pytest.mark.parametrize("share", SHARES)
def test_recall_is_kept_and_no_hit_is_missing(story: Story, kind: str, share: float) -> None:
    recalls = []
    for raw, query in zip(story.raw, story.queries, strict=True):
        asked, passing = story.asked(kind, share, query)
        wanted = min(K, len(passing))
        hits = story.collection.search(raw, K, filter=asked, with_payload=False)
        assert len(hits) == wanted
        assert set(hits.ids) <= set(passing.tolist())
        if wanted:
            truth = naive.search.nearest(query[None], story.rows[passing], story.metric, wanted)[0]
            recalls.append(naive.search.recall(hits.scores[None].astype(np.float64), truth, story.metric))
    assert not recalls or np.mean(recalls) >= PROMISED


@pytest.mark.parametrize("share", [0.1, 0.99])
def test_a_batch_finds_what_single_queries_find(story: Story, share: float) -> None:
    asked, _ = story.asked("random", share, story.queries[0])
    batch = story.collection.search(story.raw, K, filter=asked)
    alone = [story.collection.search(query, K, filter=asked).ids for query in story.raw]
    same = np.mean([len(set(hits.ids) & set(ids)) / K for hits, ids in zip(batch, alone, strict=True)])
    assert same > 0.99  # (the kernels of a batch may sum in another order)
    assert batch.counts.tolist() == [K] * QUERIES


def test_every_recall_asked_for_is_kept(story: Story) -> None:
    asked, passing = story.asked("random", 0.3, story.queries[0])
    truth = naive.search.nearest(story.queries, story.rows[passing], story.metric, K)[0]
    found = {
        recall: naive.search.recall(
            story.collection.search(story.raw, K, recall=recall, filter=asked).scores.astype(np.float64),
            truth,
            story.metric,
        )
        for recall in (0.8, 0.95, 0.99)
    }
    assert all(found[recall] >= recall - 0.03 for recall in found), found
    by_hand = story.collection.search(story.raw, K, filter=asked, nprobe=100_000, rerank=ROWS)
    assert naive.search.recall(by_hand.scores.astype(np.float64), truth, story.metric) >= 0.995
    exact = story.collection.search(story.raw, K, filter=asked, exact=True)
    assert naive.search.recall(exact.scores.astype(np.float64), truth, story.metric) == 1


def test_explain_says_how_it_was_found(story: Story) -> None:
    for kind, share, ways in (
        ("random", 0.001, {"rows"}),
        ("random", 0.5, {"lists"}),
        ("farthest", 0.5, {"lists"}),
    ):
        asked, passing = story.asked(kind, share, story.queries[0])
        said = story.collection.explain(story.raw[0], K, filter=asked).filter
        assert said is not None
        assert (said.matches, said.scanned) == (len(passing), 0)
        assert said.way in ways
        assert "luck (float)" in said.indexes
    scanned = story.collection.explain(story.raw[0], K, filter={"must": {"key": "nothing", "is_empty": False}})
    assert scanned.filter is not None
    assert (scanned.filter.scanned, scanned.filter.matches, scanned.filter.way) == (ROWS, 0, "nothing")
    assert "without an index, 16000 payloads read; nothing" in str(scanned)


def test_queries_too_short_to_tell_lists_apart_are_answered(story: Story) -> None:
    """Values of all lists then differ by less than has an inverse."""
    asked, passing = story.asked("random", 0.5, story.queries[0])
    for size in (0.0, 1e-40, 1e-38, 1e-30):
        query = np.full(story.raw.shape[1], size, np.float32)
        assert len(story.collection.search(query, K)) == K
        hits = story.collection.search(query, K, filter=asked)
        assert len(hits) == K
        assert set(hits.ids) <= set(passing.tolist())


def test_fresh_and_dead_rows_are_searched_as_they_are(story: Story) -> None:
    """Written last in this file: it changes the collection."""
    collection = story.collection
    new = np.arange(ROWS, ROWS + 300)
    collection.upsert(new, story.raw[np.arange(300) % QUERIES], [{"luck": 0.05, "cluster": 0}] * 300)
    asked = {"must": [{"key": "luck", "range": {"lt": 0.1}}]}
    hits = collection.search(story.raw[3], 6, filter=asked)
    same = [int(row) for row in new if (row - ROWS) % QUERIES == 3]
    if story.metric == "dot":
        same = hits.ids  # (longer vectors may be nearer than the query itself)
    assert sorted(hits.ids) == sorted(same)
    collection.delete(same[:3])
    collection.set_payload({"luck": 1.0}, same[3:5])
    assert not set(same[:5]) & set(collection.search(story.raw[3], 6, filter=asked).ids)
    assert collection.verify() == []
