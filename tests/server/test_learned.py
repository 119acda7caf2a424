"""A collection with learned codes behind HTTP: recall by header, by knobs, exact; its state as it grows."""

import numpy as np
import pytest

from tests.data import clustered, queries_near

from .conftest import Http

N, DIM, K = 6_000, 32, 10
QUERY = "/collections/docs/points/query"


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clustered(N, DIM, seed=3)


def found(http: Http, queries: np.ndarray, params: dict | None = None, **options) -> list[list[int]]:
    searches = [{"query": query.tolist(), "limit": K, "params": params} for query in queries]
    results = http.ok("POST", f"{QUERY}/batch", {"searches": searches}, **options)
    return [[point["id"] for point in result["points"]] for result in results]


@pytest.mark.parametrize("quantization", [None, {"product": {"compression": "x8"}}])
def test_learned_codes_keep_their_recall_over_http(http, database, vectors, quantization):
    body = {"vectors": {"size": DIM, "distance": "Euclid"}, "quantization_config": quantization}
    http.ok("PUT", "/collections/docs", body)
    for start in range(0, N, 2_000):
        chunk = vectors[start : start + 2_000]
        batch = {"ids": list(range(start, start + len(chunk))), "vectors": chunk.tolist()}
        http.ok("PUT", "/collections/docs/points?wait=true", {"batch": batch})
    assert http.ok("GET", "/collections/docs")["status"] == "yellow"
    database["docs"].optimize()
    info = http.ok("GET", "/collections/docs")
    assert (info["status"], info["indexed_vectors_count"], info["points_count"]) == ("green", N, N)

    queries = queries_near(vectors, 100, seed=4)
    distances = np.linalg.norm(queries[:, None] - vectors[None], axis=2)
    truth = [set(row[:K].tolist()) for row in np.argsort(distances, axis=1)]

    def recall(answers: list[list[int]]) -> float:
        return sum(len(truth[i] & set(answer)) for i, answer in enumerate(answers)) / (K * len(truth))

    assert found(http, queries, {"exact": True}) == found(http, queries, {"quantization": {"ignore": True}})
    assert recall(found(http, queries, {"exact": True})) == 1.0
    assert recall(found(http, queries)) >= 0.95
    assert recall(found(http, queries, headers={"x-pqdb-recall": "0.99"})) >= 0.97
    assert recall(found(http, queries, {"quantization": {"oversampling": 3.0}})) >= 0.97
    scores = [point["score"] for point in http.ok("POST", QUERY, {"query": queries[0].tolist()})["points"]]
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(distances[0].min(), rel=1e-5)
