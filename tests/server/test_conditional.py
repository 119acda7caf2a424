"""`update_mode` and `update_filter`: over a real socket with the official client, and beside Qdrant's own engine."""

import json
import threading

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.query.engine import Engine, edge, filter_of

NAME = "docs"
ONES = [1.0, 1.0, 1.0, 1.0]
POINTS = "/collections/docs/points"
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def revision(n: int) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key="rev", match=models.MatchValue(value=n))])


@pytest.fixture
def filled(client) -> QdrantClient:
    client.create_collection(NAME, models.VectorParams(size=4, distance=models.Distance.DOT))
    zeros = [0.0] * 4
    payloads = {1: {"rev": 1}, 2: {"rev": 2}, UUID: None}
    client.upsert(NAME, [models.PointStruct(id=i, vector=zeros, payload=held) for i, held in payloads.items()])
    return client


def written(client: QdrantClient) -> set[int | str]:
    points, _ = client.scroll(NAME, limit=100, with_vectors=True)
    return {point.id for point in points if point.vector == ONES}


SOME = [1, 2, UUID, 9]


@pytest.mark.parametrize(
    ("mode", "filter_", "expected"),
    [
        (None, None, {1, 2, UUID, 9}),
        (models.UpdateMode.UPSERT, None, {1, 2, UUID, 9}),
        (models.UpdateMode.INSERT_ONLY, None, {9}),
        (models.UpdateMode.UPDATE_ONLY, None, {1, 2, UUID}),
        (None, revision(2), {2, 9}),
        (None, models.Filter(must=[]), {1, 2, UUID, 9}),
        (models.UpdateMode.UPDATE_ONLY, revision(1), {1}),
        (models.UpdateMode.INSERT_ONLY, revision(1), {9}),
        (models.UpdateMode.UPDATE_ONLY, models.Filter(must=[models.HasIdCondition(has_id=[UUID.upper()])]), {UUID}),
    ],
)
@pytest.mark.parametrize("columns", [False, True])
def test_the_client_writes_some_only(filled, mode, filter_, expected, columns):
    points: object = [models.PointStruct(id=i, vector=ONES, payload={"rev": 3}) for i in SOME]
    if columns:
        points = models.Batch(ids=SOME, vectors=[ONES] * 4, payloads=[{"rev": 3}] * 4)
    result = filled.upsert(NAME, points, update_filter=filter_, update_mode=mode)
    assert result.status == models.UpdateStatus.COMPLETED
    assert written(filled) == expected
    assert filled.count(NAME, count_filter=revision(3)).count == len(expected)


def test_vectors_change_where_a_point_passes(filled):
    vectors = [models.PointVectors(id=i, vector=ONES) for i in (1, 2)]
    filled.update_vectors(NAME, vectors, update_filter=revision(2))
    assert written(filled) == {2}
    assert filled.retrieve(NAME, [2])[0].payload == {"rev": 2}
    with pytest.raises(UnexpectedResponse, match="there is no point 77"):
        filled.update_vectors(NAME, [models.PointVectors(id=77, vector=ONES)], update_filter=revision(2))


def test_conditions_in_a_batch_see_what_came_before(filled):
    one = models.PointStruct(id=1, vector=ONES, payload={"rev": 5})
    new = models.PointStruct(id=7, vector=ONES, payload={"rev": 5})
    filled.batch_update_points(
        NAME,
        [
            models.UpsertOperation(upsert=models.PointsList(points=[one, new], update_mode="insert_only")),
            models.SetPayloadOperation(set_payload=models.SetPayload(payload={"rev": 4}, points=[1])),
            models.UpsertOperation(upsert=models.PointsList(points=[one], update_filter=revision(1))),
            models.UpdateVectorsOperation(
                update_vectors=models.UpdateVectors(
                    points=[models.PointVectors(id=1, vector=[2.0] * 4)], update_filter=revision(4)
                )
            ),
        ],
    )
    found = {point.id: (point.payload, point.vector) for point in filled.retrieve(NAME, [1, 7], with_vectors=True)}
    assert found == {1: ({"rev": 4}, [2.0] * 4), 7: ({"rev": 5}, ONES)}


def test_two_clients_that_compare_and_swap_lose_no_step(filled, url):
    """Each reads a revision and writes the next over it, until it is its own that stands there."""

    def steps(client: QdrantClient) -> None:
        for _ in range(15):
            while True:
                held = client.retrieve(NAME, [1])[0].payload["rev"]
                point = models.PointStruct(id=1, vector=ONES, payload={"rev": held + 1})
                if client.upsert(NAME, [point], update_filter=revision(held)).operation_id is not None:
                    break

    other = QdrantClient(url=url)
    threads = [threading.Thread(target=steps, args=(client,)) for client in (filled, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert filled.retrieve(NAME, [1])[0].payload == {"rev": 31}


def test_a_write_of_nothing_says_so(docs):
    body = {"points": [{"id": 1, "vector": ONES}], "update_mode": "insert_only"}
    assert docs.ok("PUT", f"{POINTS}?wait=true", body) == {"operation_id": None, "status": "completed"}


def test_points_without_a_vector_keep_their_mark_unless_they_pass(docs):
    docs.ok("PUT", POINTS, {"points": [{"id": i, "vector": {}, "payload": {"rev": i}} for i in (11, 12)]})
    passes = {"must": {"key": "rev", "match": {"value": 12}}}
    body = {"points": [{"id": i, "vector": ONES} for i in (11, 12)], "update_filter": passes}
    docs.ok("PUT", f"{POINTS}/vectors", body)
    assert [docs.ok("GET", f"{POINTS}/{i}")["vector"] for i in (11, 12)] == [{}, ONES]
    body = {"points": [{"id": i, "vector": {}} for i in (1, 12)], "update_filter": passes}
    docs.ok("PUT", POINTS, body)
    assert docs.ok("GET", f"{POINTS}/1")["vector"] != {}
    assert docs.ok("GET", f"{POINTS}/12")["vector"] == {}


@pytest.mark.skipif(edge is None, reason="qdrant-edge-py is not installed here")
@pytest.mark.parametrize("mode", ["upsert", "insert_only", "update_only"])
@pytest.mark.parametrize(
    "filter_",
    [None, {"must": [{"key": "rev", "match": {"value": 1}}]}, {"must_not": [{"key": "rev", "match": {"value": 1}}]},
     {"must": [{"is_empty": {"key": "rev"}}]}, {"must": [{"has_id": [0, 2, 5]}]}],
)  # fmt: skip
def test_the_same_points_stand_there_as_in_qdrants_engine(docs, mode, filter_):
    before = [{"rev": 1}, {"rev": 2}, None, {"rev": 1}]
    docs.ok("DELETE", "/collections/docs")
    docs.ok("PUT", "/collections/docs", {"vectors": {"size": 1, "distance": "Dot"}})
    old = [{"id": i, "vector": [1.0], "payload": held} for i, held in enumerate(before)]
    docs.ok("PUT", POINTS, {"points": old})
    ids = [0, 1, 2, 3, 5, 6]
    new = [{"id": i, "vector": [2.0], "payload": {"new": i}} for i in ids]
    docs.ok("PUT", POINTS, {"points": new, "update_mode": mode, "update_filter": filter_})
    ours = docs.ok("POST", f"{POINTS}/scroll", {"limit": 100})["points"]
    with Engine(before) as engine:
        modes = {"upsert": "Upsert", "insert_only": "InsertOnly", "update_only": "UpdateOnly"}
        points = [edge.Point(i, [2.0], {"new": i}) for i in ids]
        condition = None if filter_ is None else filter_of(filter_)
        update = edge.UpdateOperation.upsert_points(points, condition, getattr(edge.UpdateMode, modes[mode]))
        engine.shard.update(update)
        records = engine.shard.scroll(edge.ScrollRequest(limit=100, with_payload=True))[0]
    theirs = sorted((record.id, json.dumps(record.payload or {})) for record in records)
    assert sorted((point["id"], json.dumps(point["payload"])) for point in ours) == theirs
