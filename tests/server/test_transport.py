"""The service inside the caller's process: the official client on the real engine, without a port."""

import subprocess
import sys
import textwrap

import httpx
import pytest
from qdrant_client import QdrantClient, models

import pqdb
import pqdb_server

COLLECTION = "docs"


def embedded(source) -> QdrantClient:
    return QdrantClient(url="http://embedded", transport=pqdb_server.transport(source), check_compatibility=False)


def test_official_client_runs_in_process_and_the_data_stay(tmp_path):
    client = embedded(tmp_path)
    client.create_collection(COLLECTION, models.VectorParams(size=2, distance=models.Distance.DOT))
    client.upsert(COLLECTION, [models.PointStruct(id=7, vector=[0.5, 1.0], payload={"a": 1})])
    assert client.query_points(COLLECTION, query=[1.0, 0.0]).points[0].id == 7
    client.close()
    with pqdb.open(tmp_path) as database:
        assert database[COLLECTION].get([7])[0].payload == {"a": 1}


def test_a_database_that_was_given_stays_open(database):
    client = embedded(database)
    client.create_collection(COLLECTION, models.VectorParams(size=2, distance=models.Distance.DOT))
    client.close()
    assert database.collections() == [COLLECTION]


def test_answers_are_whole_responses(database):
    client = httpx.Client(transport=pqdb_server.transport(database), base_url="http://embedded")
    answer = client.get("/")
    assert answer.elapsed.total_seconds() > 0
    assert answer.json()["title"].startswith("pqdb")
    client.close()


def test_closed_transport_refuses(database):
    transport = pqdb_server.transport(database)
    client = httpx.Client(transport=transport, base_url="http://embedded")
    assert client.get("/healthz").status_code == 200
    transport.close()
    transport.close()
    with pytest.raises(httpx.TransportError, match="was closed"):
        client.get("/healthz")


def test_a_client_nobody_closed_lets_the_process_end(tmp_path):
    script = f"""
        import httpx, pqdb_server
        client = httpx.Client(transport=pqdb_server.transport({str(tmp_path)!r}), base_url="http://embedded")
        vectors = {{"size": 2, "distance": "Dot"}}
        print(client.put("/collections/docs", json={{"vectors": vectors}}).json()["result"])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")


def test_a_path_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a database")
    with pytest.raises(pqdb.PqdbError):
        pqdb_server.transport(tmp_path)
