"""PATCH of a collection: what is kept and given back, what is refused, and that the official client reads it."""

import pytest
from qdrant_client import QdrantClient, models

import pqdb

PATH = "/collections/docs"


def config(http) -> dict:
    return http.ok("GET", PATH)["config"]


def test_knobs_are_merged_and_given_back(docs):
    docs.ok("PATCH", PATH, {"hnsw_config": {"m": 8}, "optimizers_config": {"indexing_threshold": 5}})
    docs.ok("PATCH", PATH, {"hnsw_config": {"ef_construct": 50}, "params": {"on_disk_payload": False}})
    docs.ok("PATCH", PATH, {"vectors": {"": {"on_disk": True, "hnsw_config": {"m": 4}}}})
    now = config(docs)
    assert (now["hnsw_config"]["m"], now["hnsw_config"]["ef_construct"]) == (8, 50)
    assert now["optimizer_config"]["indexing_threshold"] == 5
    assert now["params"]["on_disk_payload"] is False
    assert now["params"]["vectors"] == {"size": 4, "distance": "Dot", "on_disk": True, "hnsw_config": {"m": 4}}
    assert "metadata" not in now


def test_metadata_is_merged_and_null_removes(docs, database):
    docs.ok("PATCH", PATH, {"metadata": {"a": 1, "b": {"c": 2}}})
    docs.ok("PATCH", PATH, {"metadata": {"a": None, "d": [None]}})
    assert config(docs)["metadata"] == {"b": {"c": 2}, "d": [None]}
    with pqdb.open(database.path, read_only=True) as other:  # as another process would see it
        assert other["docs"].metadata["d"] == [None]


def test_through_an_alias(docs, database):
    database.set_alias("live", "docs")
    docs.ok("PATCH", "/collections/live", {"metadata": {"a": 1}})
    assert config(docs)["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"quantization_config": "Disabled"}, "taking codes away"),
        ({"quantization_config": {"product": {"compression": "x4"}}}, "changing the quantization"),
        ({"vectors": {"": {"quantization_config": {"scalar": {"type": "int8"}}}}}, "changing the quantization"),
        ({"vectors": {"title": {}}}, "Not existing vector name error: title"),
        ({"vectors": {"": {"size": 7}}}, "unknown field `size`"),
        ({"sparse_vectors": {"words": {}}}, "Not existing vector name error: words"),
        ({"strict_mode_config": {"enabled": True}}, "strict mode"),
        ({"metadata": {"pqdb_server": {}}}, "is kept for the service itself"),
        ({"typo": 1}, "unknown field `typo`"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_nothing_is(unchanged, body, words):
    before = config(unchanged)
    status, text = unchanged.error("PATCH", PATH, {"hnsw_config": {"m": 9}} | body)
    assert (status, words in text) == (400, True), text
    assert config(unchanged) == before


def test_the_quantization_there_is_may_be_said_again(http):
    quantization = {"product": {"compression": "x8"}}
    http.ok("PUT", PATH, {"vectors": {"size": 8, "distance": "Dot"}, "quantization_config": quantization})
    http.ok("PATCH", PATH, {"quantization_config": quantization})


def test_a_collection_that_is_not_there(http):
    assert http.error("PATCH", "/collections/none", {})[0] == 404


def test_by_the_official_client(url, docs):
    client = QdrantClient(url=url, timeout=60)
    assert client.update_collection(
        "docs",
        optimizers_config=models.OptimizersConfigDiff(max_optimization_threads=1),
        vectors_config={"": models.VectorParamsDiff(on_disk=True)},
        metadata={"owner": "me"},
    )
    info = client.get_collection("docs")
    assert info.config.metadata == {"owner": "me"}
    assert info.config.params.vectors.on_disk is True
    client.close()
