"""Collections over HTTP: create, get, list, exists, delete; what is echoed and what pqdb really does."""

import pytest

import pqdb

from .conftest import DIM

PLAIN = {"vectors": {"size": DIM, "distance": "Cosine"}}


def test_life_of_a_collection(http):
    assert http.ok("GET", "/collections") == {"collections": []}
    assert http.ok("GET", "/collections/docs/exists") == {"exists": False}
    assert http.ok("PUT", "/collections/docs", PLAIN) is True
    assert http.ok("GET", "/collections") == {"collections": [{"name": "docs"}]}
    assert http.ok("GET", "/collections/docs/exists") == {"exists": True}
    assert http.ok("DELETE", "/collections/docs") is True
    assert http.ok("DELETE", "/collections/docs") is False
    assert http.error("GET", "/collections/docs") == (404, "Not found: Collection `docs` doesn't exist!")


def test_creating_twice_conflicts_and_changes_nothing(docs):
    text = "Wrong input: Collection `docs` already exists!"
    assert docs.error("PUT", "/collections/docs", PLAIN) == (409, text)
    assert docs.ok("GET", "/collections/docs")["config"]["params"]["vectors"]["distance"] == "Dot"
    assert docs.ok("POST", "/collections/docs/points/count", {}) == {"count": 3}


@pytest.mark.parametrize(("distance", "metric"), [("Cosine", "cosine"), ("Dot", "dot"), ("Euclid", "l2")])
def test_distance_becomes_our_metric(http, database, distance, metric):
    http.ok("PUT", "/collections/c", {"vectors": {"size": 3, "distance": distance}})
    assert database["c"].metric == metric
    assert database["c"].dim == 3
    config = http.ok("GET", "/collections/c")["config"]
    assert config["params"]["vectors"] == {"size": 3, "distance": distance}
    assert config["pqdb"]["metric"] == metric


def test_what_was_sent_is_echoed_and_nothing_else(http):
    vector = {"size": DIM, "distance": "Dot", "on_disk": True, "hnsw_config": {"m": 4}, "datatype": "float32"}
    sent = {
        "vectors": {"": vector},
        "sparse_vectors": {},
        "hnsw_config": {"m": 0, "payload_m": 16},
        "optimizers_config": {"indexing_threshold": 100, "max_optimization_threads": "auto"},
        "wal_config": {"wal_capacity_mb": 8},
        "on_disk_payload": False,
        "shard_number": 2,
        "metadata": {"owner": "tests"},
    }
    assert http.ok("PUT", "/collections/c", sent) is True
    config = http.ok("GET", "/collections/c")["config"]
    assert config["params"]["vectors"] == {"": vector}
    assert config["params"]["sparse_vectors"] == {}
    assert config["params"]["on_disk_payload"] is False
    assert config["params"]["shard_number"] == 2
    assert config["hnsw_config"] == {
        "m": 0,
        "payload_m": 16,
        "ef_construct": 100,
        "full_scan_threshold": 10000,
    }
    assert config["optimizer_config"]["indexing_threshold"] == 100
    assert config["optimizer_config"]["flush_interval_sec"] == 5
    assert config["wal_config"] == {"wal_capacity_mb": 8, "wal_segments_ahead": 0}
    assert config["metadata"] == {"owner": "tests"}
    assert config["quantization_config"] is None


def test_collection_made_by_the_library_is_described_too(http, database):
    database.create_collection("c", 5, "l2")
    info = http.ok("GET", "/collections/c")
    assert info["config"]["params"]["vectors"] == {"size": 5, "distance": "Euclid"}
    assert info["status"] == "green"
    assert "metadata" not in info["config"]


@pytest.mark.parametrize(("compression", "m"), [("x4", 32), ("x8", 16), ("x16", 8), ("x32", 4), ("x64", 2)])
def test_product_compression_becomes_bytes_of_code(http, database, compression, m):
    sent = {"product": {"compression": compression, "always_ram": True}}
    http.ok("PUT", "/collections/c", {"vectors": {"size": 32, "distance": "Dot"}, "quantization_config": sent})
    config = http.ok("GET", "/collections/c")["config"]
    assert config["quantization_config"] == sent
    assert (config["pqdb"]["quantization"]["m"], config["pqdb"]["quantization"]["nbits"]) == (m, 8)


@pytest.mark.parametrize(
    ("sent", "bits"),
    [
        ({"binary": {}}, 1),
        ({"binary": {"encoding": "two_bits"}}, 2),
        ({"turbo": {}}, 4),
        ({"turbo": {"bits": "bits8"}}, 8),
    ],
)
@pytest.mark.parametrize("dim", [32, 1536])
def test_other_methods_become_codes_of_the_same_size(http, sent, bits, dim):
    vectors = {"size": dim, "distance": "Dot", "quantization_config": sent}
    http.ok("PUT", "/collections/c", {"vectors": vectors})
    config = http.ok("GET", "/collections/c")["config"]
    ours = config["pqdb"]["quantization"]
    assert ours["m"] * ours["nbits"] == dim * bits
    assert config["params"]["vectors"]["quantization_config"] == sent


def test_scalar_becomes_a_byte_a_dimension(http):
    sent = {"scalar": {"type": "int8", "quantile": 0.99}}
    http.ok("PUT", "/collections/c", {"vectors": {"size": 32, "distance": "Dot"}, "quantization_config": sent})
    config = http.ok("GET", "/collections/c")["config"]
    assert (config["pqdb"]["quantization"], config["pqdb"]["rerank"]) == ({"kind": "sq", "form": "int8"}, None)
    assert config["quantization_config"] == sent


def test_every_code_can_be_asked_for_by_our_name(http):
    kinds = [
        ({"sq": "1bit"}, "float16"), ({"sq": "float16"}, None),
        ({"pq": {"m": 2, "nbits": 4, "objective": "score"}}, None),
    ]  # fmt: skip
    for number, (ours, rerank) in enumerate(kinds):
        options = {"quantization": ours} | ({} if rerank is None else {"rerank": rerank})
        http.ok("PUT", f"/collections/c{number}", {**PLAIN, "metadata": {"pqdb": options}})
        told = http.ok("GET", f"/collections/c{number}")["config"]["pqdb"]["quantization"]
        assert told.items() >= (ours["pq"] if "pq" in ours else {"kind": "sq", "form": ours["sq"]}).items()


def test_options_of_ours_travel_in_metadata(http, database):
    options = {"pqdb": {"quantization": "flat", "source": "float16"}, "team": "search"}
    http.ok("PUT", "/collections/flat", {**PLAIN, "metadata": options})
    small = {"pqdb": {"quantization": {"pq": {"m": 2}}, "rerank": "none"}}
    http.ok("PUT", "/collections/pq", {**PLAIN, "metadata": small})
    config = http.ok("GET", "/collections/flat")["config"]
    assert config["pqdb"]["quantization"]["kind"] == "flat"
    assert config["pqdb"]["source"] == "float16"
    assert config["metadata"] == options
    config = http.ok("GET", "/collections/pq")["config"]
    assert (config["pqdb"]["quantization"]["m"], config["pqdb"]["rerank"]) == (2, None)


def test_counts_follow_the_points(docs):
    info = docs.ok("GET", "/collections/docs")
    assert (info["points_count"], info["status"], info["optimizer_status"]) == (3, "green", "ok")
    assert 0 <= info["indexed_vectors_count"] <= 3
    assert info["payload_schema"] == {}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "missing field `vectors`"),
        ({"vectors": {"size": 4}}, 400, "missing field `distance`"),
        ({"vectors": {"distance": "Dot"}}, 400, "missing field `size`"),
        ({"vectors": {"size": 0, "distance": "Dot"}}, 422, "vectors.size: value 0 invalid, must be from 1"),
        ({"vectors": {"size": 65537, "distance": "Dot"}}, 422, "value 65537 invalid"),
        ({"vectors": {"size": "4", "distance": "Dot"}}, 400, 'string "4", expected an unsigned'),
        ({"vectors": {"size": 4, "distance": "cosine"}}, 400, "unknown variant `cosine`, expected one"),
        ({"vectors": {"size": 4, "distance": "Manhattan"}, "quantization_config": {"scalar": {"type": "int8"}}}, 400,
         "metric l1 is compared exactly, without codes"),
        ({"vectors": {"size": 4, "distance": "Dot", "datatype": "uint8"}}, 400, "the datatype uint8"),
        ({"vectors": {"size": 4, "distance": "Dot", "multivector_config": {}}}, 400, "multivectors"),
        ({"vectors": {"size": 4, "distance": "Dot", "typo": 1}}, 400, "unknown field `typo`"),
        ({"vectors": {"size": 4, "distance": "Dot", "hnsw_config": {"m": "x"}}}, 400, "hnsw_config.m"),
        ({"sparse_vectors": {}}, 400, "missing field `vectors`"),
        ({**PLAIN, "sparse_vectors": {"": {}}}, 400, "the vector name `` is taken twice"),
        ({**PLAIN, "sparse_vectors": {"bm25": None}}, 400, "sparse_vectors.bm25: invalid type: null"),
        ({**PLAIN, "sparse_vectors": {"bm25": {"size": 4}}}, 400, "unknown field `size`, expected one of `index`"),
        ({**PLAIN, "sparse_vectors": {"bm25": {"modifier": "bm25"}}}, 400, "unknown variant `bm25`, expected one of"),
        ({**PLAIN, "sparse_vectors": {"bm25": {"index": {"m": 4}}}}, 400, "sparse_vectors.bm25.index: unknown field"),
        ({**PLAIN, "sparse_vectors": {"bm25": {"index": {"on_disk": 1}}}}, 400, "index.on_disk: invalid type"),
        ({**PLAIN, "sparse_vectors": {"bm25": {"index": {"datatype": "uint8"}}}}, 400, "the datatype uint8"),
        ({**PLAIN, "sharding_method": "custom"}, 400, "custom sharding"),
        ({**PLAIN, "strict_mode_config": {"enabled": True}}, 400, "strict mode"),
        ({**PLAIN, "init_from": {"collection": "a"}}, 400, "copying another collection"),
        ({**PLAIN, "quantization_config": {"product": {}}}, 400, "missing field `compression`"),
        ({**PLAIN, "quantization_config": {"product": {"compression": "x5"}}}, 400, "unknown variant `x5`"),
        ({**PLAIN, "quantization_config": {"magic": {}}}, 400, "unknown field `magic`"),
        ({**PLAIN, "quantization_config": {}}, 400, "expected one of `scalar`"),
        ({**PLAIN, "metadata": {"pqdb_server": 1}}, 400, "is kept for the service"),
        ({**PLAIN, "metadata": {"pqdb": {"recall": 1}}}, 400, "unknown field `recall`"),
        ({**PLAIN, "metadata": {"pqdb": {"quantization": {"pq": {"m": 99}}}}}, 400, "99 sub-quantizers"),
    ],
)  # fmt: skip
def test_bad_creation_is_refused_and_makes_nothing(http, body, status, text):
    got, said = http.error("PUT", "/collections/c", body)
    assert (got, text in said) == (status, True), said
    assert http.ok("GET", "/collections") == {"collections": []}


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_sparse_vectors_is_no_error(http, nothing):
    assert http.ok("PUT", "/collections/c", {**PLAIN, "sparse_vectors": nothing}) is True


@pytest.mark.parametrize("name", ["a*b", "a|b", 'a"b', "a<b", "a:b", "x" * 256, "a%00b", "a%1Fb", "a\\b"])
def test_names_qdrant_refuses_are_refused(http, name):
    status, text = http.error("PUT", f"/collections/{name}", PLAIN)
    assert status == 422
    assert text.startswith("Validation error in path parameters: [collection_name: ")
    assert http.error("GET", f"/collections/{name}")[0] == 404
    assert http.ok("GET", f"/collections/{name}/exists") == {"exists": False}


def test_names_are_percent_decoded(http):
    http.ok("PUT", "/collections/caf%C3%A9%20%25", PLAIN)
    assert http.ok("GET", "/collections") == {"collections": [{"name": "café %"}]}
    assert http.ok("GET", "/collections/caf%C3%A9%20%25/exists") == {"exists": True}


def test_what_was_sent_outlives_the_process(connect, tmp_path):
    sent = {**PLAIN, "quantization_config": {"binary": {"always_ram": True}}, "metadata": {"owner": "tests"}}
    with pqdb.open(tmp_path / "db") as database:
        http = connect(database)
        http.ok("PUT", "/collections/c", sent)
        before = http.ok("GET", "/collections/c")
    with pqdb.open(tmp_path / "db") as database:
        assert connect(database).ok("GET", "/collections/c") == before
        assert before["config"]["quantization_config"] == sent["quantization_config"]


def test_trouble_of_the_upkeep_is_told(docs, database):
    database["docs"]._upkeep.error = "StorageError: the disk is unwell"
    info = docs.ok("GET", "/collections/docs")
    assert info["optimizer_status"] == {"error": "StorageError: the disk is unwell"}
    database["docs"]._upkeep.stage = "training 50%"
    assert docs.ok("GET", "/collections/docs")["status"] == "yellow"
