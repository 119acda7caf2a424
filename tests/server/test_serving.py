"""The service as a process: several workers, TLS, slow clients, floods, and an end that loses nothing."""

import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

import pqdb
import pqdb_server

from .processes import PQDB, served
from .test_busy import Gate

COLLECTION = {"vectors": {"size": 4, "distance": "Dot"}}
POINTS = "/collections/docs/points"
KEY = {"api-key": "hush-hush"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine's own, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return cert, key


def test_several_workers_on_one_store_behind_tls_and_a_key(tmp_path, certificate):
    cert, key = certificate
    settings = {"workers": 2, "api_key": "hush-hush", "tls_cert": cert, "tls_key": key, "log_format": "json"}
    with served(tmp_path / "db", log_requests="all", **settings) as process:
        context = ssl.create_default_context(cafile=cert)
        base = f"https://127.0.0.1:{process.port}"
        assert httpx.get(f"{base}/collections", verify=context, timeout=60).status_code == 401
        with httpx.Client(base_url=base, verify=context, headers=KEY, timeout=60) as client:
            assert client.put("/collections/docs", json=COLLECTION).json()["result"] is True
        n = 40
        for i in range(n):  # a connection each, so that both workers get some
            point = {"points": [{"id": i, "vector": [i, 1, 1, 1]}]}
            assert httpx.put(base + POINTS, json=point, verify=context, headers=KEY, timeout=60).status_code == 200
            count = httpx.post(f"{base}{POINTS}/count", json={}, verify=context, headers=KEY, timeout=60).json()
            assert count["result"]["count"] == i + 1, "every worker sees every write at once"
        page = httpx.get(f"{base}/metrics", verify=context, headers=KEY, timeout=60).text
    counted = sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "pqdb_requests_total" and sample.labels["method"] == "PUT"
    )
    assert counted == n + 1, "the counts of all workers are added up"
    lines = [json.loads(line) for line in process.log]
    [started] = [line for line in lines if line["message"].startswith("pqdb")]
    assert started["settings"]["api_key"] == "set"
    assert sum(line["message"] == "answered" for line in lines) >= 2 * n
    assert "hush" not in process.text


def test_settings_by_arguments_of_the_command_line(tmp_path):
    with served(tmp_path / "db", "--port", "0", "--set", "body_limit_mb=1", "--set", "read_only_api_key=k") as process:
        url = process.url
        assert httpx.get(f"{url}/collections", timeout=60).status_code == 401
        body = b" " * (2**20 + 1)
        headers = {"api-key": "k", "content-type": "application/json"}
        answer = httpx.post(f"{url}{POINTS}/count", content=body, headers=headers, timeout=60)
        assert "limit: 1048576 bytes" in answer.json()["status"]["error"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "Error: host 0.0.0.0 can be reached from other machines, and there is no API key"),
        (["--set", "grce=1"], "'grce' is not NAME=VALUE of a setting"),
        (["--set", "grace=soon"], "Error: PQDB_GRACE: Input should be a valid integer"),
        (["--set", "tls_cert=a", "--set", "tls_key=b"], "Error: the TLS file a cannot be read"),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(tmp_path, arguments, words):
    command = [*PQDB, "serve", str(tmp_path / "db"), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode != 0
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_in_flight_when_it_is_told_to_stop_is_done(tmp_path, workers):
    point = json.dumps({"points": [{"id": 1, "vector": [1, 1, 1, 1]}]}).encode()
    head = f"PUT {POINTS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(point)}\r\n\r\n"
    with served(tmp_path / "db", workers=workers) as process:
        httpx.put(f"{process.url}/collections/docs", json=COLLECTION, timeout=60)
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.sendall(head.encode() + point[:9])
            time.sleep(0.3)  # so that the head was read
            ended = threading.Thread(target=process.stop)
            ended.start()
            time.sleep(0.3)
            client.sendall(point[9:])
            client.settimeout(60)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
        ended.join(60)
    assert process.process.returncode in (0, -signal.SIGTERM)
    with pqdb.open(tmp_path / "db", read_only=True) as database:
        assert database["docs"].count() == 1


def test_kernels_are_loaded_at_the_start_and_it_stops_meanwhile_too(tmp_path):
    with served(tmp_path / "db", warm_up=True) as process:
        assert httpx.get(f"{process.url}/healthz", timeout=60).status_code == 200
        for _ in range(1_200):
            if "kernels are ready" in process.text:
                break
            time.sleep(0.1)
        assert "kernels are ready" in process.text
        assert process.stop() in (0, -signal.SIGTERM)
    with served(tmp_path / "db", warm_up=True) as process:
        assert process.stop() in (0, -signal.SIGTERM)


def test_slow_clients_are_sent_away(tmp_path):
    with served(tmp_path / "db", header_timeout=0.3, body_timeout=0.3) as process:
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.settimeout(60)
            client.sendall(b"GET / HTTP/1.1\r\nx-slow")
            assert client.recv(65536) == b""
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.settimeout(60)
            head = f"POST {POINTS}/count HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            client.sendall(f"{head}content-length: 9\r\n\r\n{{".encode())
            assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
        with socket.create_connection(("127.0.0.1", process.port)) as client:  # patience ends after a whole one too
            client.settimeout(60)
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            client.sendall(b"GET /healthz HTTP/1.1\r\nho")
            while part := client.recv(65536):
                assert b"HTTP/1.1" not in part
        refused = f"POST {POINTS}/count HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n"
        for request, stray in ((refused, b"{"), ("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n")):
            with socket.create_connection(("127.0.0.1", process.port)) as client:  # nor do stray bytes keep it for ever
                client.settimeout(30)
                client.sendall(request.encode())
                assert client.recv(65536).startswith(b"HTTP/1.1 ")
                time.sleep(0.05)
                client.sendall(stray)
                while client.recv(65536):
                    pass
        with httpx.Client(base_url=process.url, timeout=60) as client:  # an idle connection is kept meanwhile
            assert client.get("/healthz").status_code == 200
            time.sleep(0.5)
            assert client.get("/healthz").status_code == 200


def test_a_flood_is_told_to_wait(docs, database, serve, monkeypatch):
    http = serve(database, pqdb_server.Settings(queue_limit=1))
    held = Gate(monkeypatch, "count")
    first = threading.Thread(target=http.client.post, args=(f"{POINTS}/count",), kwargs={"json": {}})
    first.start()
    try:
        assert held.entered.wait(60)
        answer = http.client.get("/collections")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert http.client.get("/healthz").status_code == 200
        client = QdrantClient(url=str(http.client.base_url), timeout=60, check_compatibility=False)
        with pytest.raises(ResourceExhaustedResponse):
            client.upsert("docs", [models.PointStruct(id=1, vector=[1.0] * 4)])
        client.close()
    finally:
        held.opened.set()
        first.join(60)
    assert http.client.get("/collections").status_code == 200


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PQDB_PATH", str(tmp_path / "from the environment"))
    with served(None, "--port", "0") as process:
        assert httpx.get(f"{process.url}/readyz", timeout=60).status_code == 200
    assert (tmp_path / "from the environment" / "catalog").is_dir()


def answer_of(client):
    """One whole answer: its head and its body may come apart."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += client.recv(65536)
    end = said.index(b"\r\n\r\n") + 4 + int(re.search(rb"content-length: (\d+)", said)[1])
    while len(said) < end:
        said += client.recv(65536)
    return said


def test_endless_heads_are_refused(tmp_path):
    line = b"x-more: " + b"a" * 1_000 + b"\r\n"
    with served(tmp_path / "db") as process:
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.settimeout(60)
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
            said = b"HTTP/1.1 431 "
            with suppress(OSError):  # it is closed while we still write, and the answer may be lost
                for _ in range(1_000):
                    client.sendall(line)
                said = client.recv(65536)
            assert said.startswith(b"HTTP/1.1 431 ")
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.settimeout(60)
            for _ in range(2):
                client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + line * 30)
                time.sleep(0.05)
                client.sendall(line * 30 + b"\r\n")
                assert answer_of(client).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("told", "lines"), [("none", 0), ("failures", 1), ("all", 2)])
def test_requests_have_no_lines_but_those_asked_for(tmp_path, told, lines):
    with served(tmp_path / "db", log_requests=told, api_key="secret-of-the-server") as process:
        assert httpx.get(f"{process.url}/collections?api_key=spilled", timeout=60).status_code == 401
        header = {"api-key": "secret-of-the-server"}
        assert httpx.get(f"{process.url}/collections?api_key=spilled", headers=header, timeout=60).status_code == 200
        process.stop()
        assert sum("/collections" in line for line in process.text.splitlines()) == lines
        assert "spilled" not in process.text


def test_offers_of_another_protocol_are_passed_over(tmp_path):
    """Java's client offers HTTP/2 with the first request of a connection; its body is read all the same."""
    offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    body = json.dumps(COLLECTION)
    head = f"PUT /collections/docs HTTP/1.1\r\nhost: x\r\n{offer}content-type: application/json\r\n"
    with served(tmp_path / "db") as process:
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.settimeout(60)
            client.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
            assert answer_of(client).startswith(b"HTTP/1.1 200 ")
        assert httpx.get(f"{process.url}/collections/docs", timeout=60).status_code == 200
        refused = "POST /collections/docs/points/count HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n"
        count = f"POST {POINTS}/count HTTP/1.1\r\nhost: x\r\n{offer}content-type: application/json\r\n"
        count += "content-length: 2\r\n"
        with socket.create_connection(("127.0.0.1", process.port)) as client:  # behind one that was answered too soon
            client.settimeout(60)
            client.sendall(f"{refused}content-length: 2\r\n\r\n".encode())
            assert answer_of(client).startswith(b"HTTP/1.1 ")
            client.sendall(b"{}")
            for part in (count[:90], count[90:], "\r", "\n{", "}"):  # in pieces, wherever they are cut
                client.sendall(part.encode())
                time.sleep(0.05)
            assert answer_of(client).startswith(b"HTTP/1.1 200 ")
        with socket.create_connection(("127.0.0.1", process.port)) as client:
            client.settimeout(60)
            client.sendall(
                b"GET /collections?api_key=spilled HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
            )
            assert answer_of(client).startswith(b"HTTP/1.1 200 ")
        process.stop()
        assert "spilled" not in process.text


def test_a_head_behind_a_large_body_is_no_long_head(tmp_path):
    body = json.dumps({**COLLECTION, "metadata": {"text": "a" * 150_000}})
    head = f"host: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with served(tmp_path / "db") as process, socket.create_connection(("127.0.0.1", process.port)) as client:
        client.settimeout(60)
        client.sendall(f"PUT /collections/docs HTTP/1.1\r\n{head}{body}GET /healthz HT".encode())
        said = answer_of(client)
        assert said.startswith(b"HTTP/1.1 200 ")
        client.sendall(b"TP/1.1\r\nhost: x\r\n\r\n")
        while not said.endswith(b"healthz check passed"):
            said += client.recv(65536)
        assert b" 431 " not in said
