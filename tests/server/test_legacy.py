"""Operations from before `points/query`: they answer what it answers."""

import numpy as np
import pytest

import pqdb

POINTS = "/collections/docs/points"
N, DIM = 60, 4
VECTORS = np.random.default_rng(3).standard_normal((N, DIM)).astype(np.float32)
QUERY = [1.0, 0.5, 0.0, -0.5]
REST = {"limit": 5, "with_payload": True, "filter": {"must": [{"key": "even", "match": {"value": True}}]}}


@pytest.fixture
def docs(http, database):
    made = database.create_collection("docs", dim=DIM)
    made.upsert(range(N), VECTORS, [{"even": i % 2 == 0, "of": f"book {i % 7}"} for i in range(N)])
    return http


EXAMPLES = {"positive": [1, QUERY], "negative": [9]}


@pytest.mark.parametrize(
    ("old", "body", "query"),
    [
        ("search", {"vector": QUERY}, QUERY),
        ("search", {"vector": {"name": "", "vector": QUERY}}, QUERY),
        ("recommend", EXAMPLES, {"recommend": EXAMPLES}),
        ("recommend", {"positive": [2], "strategy": "best_score"},
         {"recommend": {"positive": [2], "strategy": "best_score"}}),
    ],
)  # fmt: skip
def test_they_find_what_a_query_finds(docs, old, body, query):
    new = docs.ok("POST", f"{POINTS}/query", {"query": query, **REST})["points"]
    assert len(new) == 5
    assert docs.ok("POST", f"{POINTS}/{old}", {**body, **REST}) == new
    called_top = {**body, **{key: value for key, value in REST.items() if key != "limit"}, "top": 5}
    assert docs.ok("POST", f"{POINTS}/{old}", called_top) == new
    assert docs.ok("POST", f"{POINTS}/{old}/batch", {"searches": [{**body, **REST}] * 2}) == [new, new]
    grouping = {"group_by": "of", "group_size": 2, **REST}
    groups = docs.ok("POST", f"{POINTS}/query/groups", {"query": query, **grouping})
    assert docs.ok("POST", f"{POINTS}/{old}/groups", {**body, **grouping}) == groups
    assert len(groups["groups"]) == 5


@pytest.mark.parametrize(
    ("old", "body", "words"),
    [
        ("search", {"limit": 1}, "missing field `vector`"),
        ("search", {"vector": QUERY}, "missing field `limit`"),
        ("search", {"vector": QUERY, "limit": None}, "missing field `limit`"),
        ("search", {"vector": QUERY, "limit": 1, "query": QUERY}, "unknown field `query`"),
        ("search/groups", {"vector": QUERY, "limit": 1}, "missing field `group_by`"),
        ("recommend", {"limit": 1}, "at least one positive example"),
        (
            "recommend",
            {"positive": [1], "limit": 1, "lookup_from": {"collection": "a"}},
            "vectors of other collections",
        ),
    ],
)
def test_what_is_wrong_is_said(docs, old, body, words):
    status, text = docs.error("POST", f"{POINTS}/{old}", body)
    assert (status, words in text) == (400, True), text


def test_points_to_search_by_have_to_be_there(docs, database):
    assert docs.error("POST", f"{POINTS}/recommend", {"positive": [999], "limit": 1})[0] == 404
    assert isinstance(database["docs"], pqdb.Collection)
