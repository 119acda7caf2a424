"""The official client, unmodified, over a real socket."""

import uuid

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

NAME = "docs"
DIM = 8
SUM_SCORES = models.RecommendQuery(recommend=models.RecommendInput(positive=[1], strategy="sum_scores"))


@pytest.fixture
def vectors(rng) -> np.ndarray:
    return rng.normal(size=(50, DIM)).astype(np.float32)


def create(client: QdrantClient, distance: models.Distance = models.Distance.COSINE, **options) -> None:
    client.create_collection(NAME, models.VectorParams(size=DIM, distance=distance), **options)


@pytest.fixture
def filled(client, vectors) -> QdrantClient:
    create(client)
    points = [
        models.PointStruct(id=i, vector=vector.tolist(), payload={"n": i, "tags": ["a", None]})
        for i, vector in enumerate(vectors)
    ]
    assert client.upsert(NAME, points).status == models.UpdateStatus.COMPLETED
    return client


def test_collections(client):
    assert client.get_collections().collections == []
    assert not client.collection_exists(NAME)
    create(client)
    assert client.collection_exists(NAME)
    assert [c.name for c in client.get_collections().collections] == [NAME]
    assert client.delete_collection(NAME)
    assert not client.delete_collection(NAME)


@pytest.mark.parametrize(
    "quantization",
    [
        None,
        models.ProductQuantization(product=models.ProductQuantizationConfig(compression="x8")),
        models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type="int8", always_ram=True)),
        models.BinaryQuantization(binary=models.BinaryQuantizationConfig()),
    ],
)
def test_get_collection_parses_and_echoes(client, quantization):
    create(
        client,
        quantization_config=quantization,
        hnsw_config=models.HnswConfigDiff(m=8),
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=10),
        sparse_vectors_config={},
        on_disk_payload=True,
        metadata={"owner": "me"},
    )
    info = client.get_collection(NAME)
    assert info.status == models.CollectionStatus.GREEN
    assert info.config.params.vectors == models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    assert info.config.quantization_config == quantization
    assert info.config.hnsw_config.m == 8
    assert info.config.optimizer_config.indexing_threshold == 10
    assert info.config.metadata == {"owner": "me"}


@pytest.mark.parametrize("form", ["plain", "named", "batch", "named batch"])
def test_forms_of_the_unnamed_vector(client, vectors, form):
    vectors_config = models.VectorParams(size=DIM, distance=models.Distance.DOT)
    client.create_collection(NAME, {"": vectors_config} if "named" in form else vectors_config)
    ids, rows = list(range(len(vectors))), vectors.tolist()
    if form == "plain":
        points = [models.PointStruct(id=i, vector=row) for i, row in zip(ids, rows, strict=True)]
    elif form == "named":
        points = [models.PointStruct(id=i, vector={"": row}) for i, row in zip(ids, rows, strict=True)]
    else:
        points = models.Batch(ids=ids, vectors={"": rows} if form == "named batch" else rows)
    client.upsert(NAME, points)
    for using in (None, ""):
        [hit] = client.query_points(NAME, query=rows[7], using=using, limit=1, with_vectors=True).points
        expected = int(np.argmax(vectors @ vectors[7]))
        assert hit.id == expected
        assert np.array_equal(np.array(hit.vector, np.float32), vectors[expected])


@pytest.mark.parametrize("distance", [models.Distance.COSINE, models.Distance.DOT, models.Distance.EUCLID])
def test_query_agrees_with_numpy(client, vectors, rng, distance):
    create(client, distance)
    client.upsert(NAME, models.Batch(ids=list(range(50)), vectors=vectors.tolist()))
    query = rng.normal(size=DIM).astype(np.float32)
    if distance == models.Distance.EUCLID:
        scores = np.linalg.norm(vectors - query, axis=1)
        order = np.argsort(scores)
    else:
        scores = vectors @ query
        if distance == models.Distance.COSINE:
            scores = scores / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
        order = np.argsort(-scores)
    hits = client.query_points(NAME, query=query, limit=10).points
    assert [hit.id for hit in hits] == order[:10].tolist()
    assert [hit.score for hit in hits] == pytest.approx(scores[order[:10]].tolist(), rel=1e-5)
    cut = float(scores[order[5]]) * (1.0001 if distance == models.Distance.EUCLID else 0.9999)
    assert len(client.query_points(NAME, query=query, score_threshold=cut).points) == 6
    page = client.query_points(NAME, query=query, limit=3, offset=4).points
    assert [hit.id for hit in page] == order[4:7].tolist()


def test_query_by_id_and_without_query(filled):
    only_n = models.PayloadSelectorInclude(include=["n"])
    hits = filled.query_points(NAME, query=3, limit=5, with_payload=only_n).points
    assert 3 not in [hit.id for hit in hits]
    assert all(hit.payload == {"n": hit.id} for hit in hits)
    assert [hit.id for hit in filled.query_points(NAME, limit=4, offset=2).points] == [2, 3, 4, 5]


def test_search_parameters_and_batch(filled, vectors):
    params = models.SearchParams(
        hnsw_ef=64, quantization=models.QuantizationSearchParams(rescore=True, oversampling=2.0)
    )
    requests = [
        models.QueryRequest(query=vectors[0].tolist(), limit=1, params=params),
        models.QueryRequest(query=vectors[1].tolist(), limit=1, params=models.SearchParams(exact=True)),
        models.QueryRequest(query=2, limit=1),
    ]
    first, second, third = filled.query_batch_points(NAME, requests)
    assert (first.points[0].id, second.points[0].id, len(third.points)) == (0, 1, 1)


def test_retrieve_scroll_count_delete(filled, vectors):
    records = filled.retrieve(NAME, [5, 999, 6], with_vectors=True)
    assert {record.id for record in records} == {5, 6}
    unit = vectors[5] / np.linalg.norm(vectors[5])
    assert next(r.vector for r in records if r.id == 5) == pytest.approx(unit.tolist(), abs=1e-6)
    assert records[0].payload["tags"] == ["a", None]
    assert filled.count(NAME).count == 50
    seen, offset = [], None
    while True:
        page, offset = filled.scroll(NAME, limit=20, offset=offset)
        seen += [record.id for record in page]
        if offset is None:
            break
    assert seen == list(range(50))
    filled.delete(NAME, models.PointIdsList(points=[0, 1, 999]))
    filled.delete(NAME, [2])
    assert filled.count(NAME, exact=False).count == 47


def test_uuids_are_one_id_in_every_spelling(client):
    create(client)
    id_ = uuid.uuid4()
    client.upsert(NAME, [models.PointStruct(id=id_.hex, vector=[1.0] * DIM)])
    client.upsert(NAME, [models.PointStruct(id=id_.urn, vector=[2.0] * DIM)])
    client.upsert(NAME, [models.PointStruct(id=str(id_).upper(), vector=[3.0] * DIM)])
    assert [record.id for record in client.scroll(NAME)[0]] == [str(id_)]


def test_upload_waits_or_not(client, vectors):
    create(client)
    client.upload_collection(NAME, vectors, ids=range(50), batch_size=16)
    assert client.count(NAME).count == 50
    result = client.upsert(NAME, [models.PointStruct(id=99, vector=[1.0] * DIM)], wait=False)
    assert result.status == models.UpdateStatus.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("status", "words", "call"),
    [
        (404, "Collection `x` doesn't exist", lambda c: c.get_collection("x")),
        (404, "Not found: Collection `x` doesn't exist!", lambda c: c.query_points("x", query=[1.0] * DIM)),
        (409, "already exists", create),
        (400, "expected dim: 8, got 2", lambda c: c.query_points(NAME, query=[1.0, 2.0])),
        (400, "not a valid point ID", lambda c: c.retrieve(NAME, ["one"])),
        (400, "title", lambda c: c.query_points(NAME, query=[1.0] * DIM, using="title")),
        (422, "limit: value 0 invalid", lambda c: c.query_points(NAME, query=[1.0] * DIM, limit=0)),
        (400, "No map index", lambda c: c.facet(NAME, "n")),
        (400, "fusion", lambda c: c.query_points(NAME, prefetch=[], query=models.FusionQuery(fusion="rrf"))),
        (400, "sum_scores", lambda c: c.query_points(NAME, query=SUM_SCORES)),
    ],
)  # fmt: skip
def test_errors_reach_the_client_with_their_words(filled, status, words, call):
    with pytest.raises(UnexpectedResponse) as caught:
        call(filled)
    assert caught.value.status_code == status
    assert words in caught.value.content[:200].decode()
