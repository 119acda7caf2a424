"""The distance Manhattan with the official client, over a real socket and beside the client's own local mode."""

import numpy as np
import pytest
from qdrant_client import QdrantClient, models

NAME, DIM, N = "docs", 9, 200
EVEN = models.Filter(must=[models.FieldCondition(key="even", match=models.MatchValue(value=True))])
UNNAMED = models.VectorParams(size=DIM, distance=models.Distance.MANHATTAN)
NAMED = {"far": UNNAMED, "like": models.VectorParams(size=DIM, distance=models.Distance.COSINE)}


@pytest.fixture(params=["", "far"])
def both(request, client, rng) -> tuple[str, QdrantClient, QdrantClient]:
    """The name of the vector, the service, and local mode, with the same points."""
    name = request.param
    vectors = rng.normal(scale=5, size=(N, DIM))
    local = QdrantClient(":memory:")
    for each in (client, local):
        each.create_collection(NAME, NAMED if name else UNNAMED)
        points = [
            models.PointStruct(
                id=i,
                vector={name: v.tolist(), "like": (v + 1).tolist()} if name else v.tolist(),
                payload={"even": i % 2 == 0, "group": i % 6},
            )
            for i, v in enumerate(vectors)
        ]
        each.upsert(NAME, points)
    return name, client, local


@pytest.mark.parametrize(
    "asked",
    [
        {"query": [1.0] * DIM},
        {"query": [1.0] * DIM, "query_filter": EVEN, "offset": 3},
        {"query": 7},
        {"query": [0.5] * DIM, "score_threshold": 38.0},
        {"query": models.RecommendQuery(recommend=models.RecommendInput(positive=[1, 2], negative=[3]))},
        {"query": models.RecommendQuery(recommend=models.RecommendInput(positive=[1, 2], strategy="best_score"))},
        {"query": models.NearestQuery(nearest=[1.0] * DIM, mmr=models.Mmr(diversity=0.4, candidates_limit=30))},
    ],
)
def test_the_same_scores_as_in_local_mode(both, asked):
    name, client, local = both
    ours, theirs = (each.query_points(NAME, using=name or None, limit=20, **asked).points for each in (client, local))
    assert [point.score for point in ours] == pytest.approx([point.score for point in theirs], rel=1e-5)
    assert len({point.id for point in ours}) == len(ours) > 5


def test_scores_are_distances_and_a_threshold_lies_above_them(both):
    name, client, _ = both
    points = client.query_points(NAME, query=[0.0] * DIM, using=name or None, limit=N, with_vectors=True).points
    vectors = [point.vector[name] if name else point.vector for point in points]
    scores = [point.score for point in points]
    assert scores == pytest.approx([np.abs(vector).sum() for vector in vectors], rel=1e-5)
    assert scores == sorted(scores)
    cut = scores[25]
    passed = client.query_points(NAME, query=[0.0] * DIM, using=name or None, limit=N, score_threshold=cut).points
    assert [point.score for point in passed] == [score for score in scores if score < cut]


def test_groups_and_batches(both):
    name, client, local = both
    ours, theirs = (
        each.query_points_groups(
            NAME, group_by="group", query=[1.0] * DIM, using=name or None, limit=4, group_size=2
        ).groups
        for each in (client, local)
    )
    ours, theirs = ([[hit.id for hit in group.hits] for group in groups] for groups in (ours, theirs))
    assert ours == theirs
    requests = [models.QueryRequest(query=[float(i)] * DIM, using=name or None, limit=5) for i in range(4)]
    batches = [each.query_batch_points(NAME, requests) for each in (client, local)]
    ours, theirs = ([[point.id for point in each.points] for each in batch] for batch in batches)
    assert ours == theirs


def test_it_is_told_as_it_was_sent_and_what_is_really_done(both):
    name, client, _ = both
    info = client.get_collection(NAME)
    params = info.config.params.vectors[name] if name else info.config.params.vectors
    assert params.distance == models.Distance.MANHATTAN
    assert info.status == models.CollectionStatus.GREEN
    assert info.config.quantization_config is None


def test_codes_are_refused_for_it_alone(client):
    codes = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type="int8"))
    with pytest.raises(Exception, match="metric l1 is compared exactly, without codes"):
        client.create_collection(NAME, NAMED, quantization_config=codes)
    coded = NAMED | {"like": NAMED["like"].model_copy(update={"quantization_config": codes})}
    assert client.create_collection(NAME, coded)
